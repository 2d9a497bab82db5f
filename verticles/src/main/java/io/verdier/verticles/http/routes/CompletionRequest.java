package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.api.Body;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A request for text completions, checked. Immutable.
 *
 * @param generations one per prompt
 * @param echo whether answers begin with their prompt
 * @param scoredEcho whether the log probabilities begin with the prompt's too
 */
record CompletionRequest(
    List<Generation> generations, AnswerShape shape, boolean echo, boolean scoredEcho) {

  static CompletionRequest read(Exchange exchange, Map<String, @Nullable Object> body) {
    Ingress ingress = exchange.ingress();
    Fields fields = HeaderFields.over(exchange, Fields.of(body, Body.TEXT));
    FieldGate.check(exchange, fields);
    ingress.serving().checkName(fields.string("model"));
    AnswerShape shape = AnswerShape.read(exchange, fields, "cmpl-");
    boolean echo = fields.bool("echo");
    List<Prompt> prompts = new PromptFields(ingress, fields).prompts("prompt");
    Generation generation = generation(ingress, fields, prompts.getFirst(), echo);
    boolean scored = echo && generation.sampling().logprobs() >= 0;
    if (scored) {
      checkScoredEcho(fields, generation.choices());
      generation = generation.with(prompts.getFirst(), withScoredPrompt(generation.sampling()));
    }
    boolean ownSeed = fields.has("seed") && !Long.valueOf(-1).equals(fields.value("seed"));
    List<Generation> generations = new ArrayList<>(prompts.size());
    for (Prompt prompt : prompts) {
      SamplingParams sampling = generation.sampling();
      // Each prompt has random numbers of its own, unless the client chose the seed.
      generations.add(
          generation.with(prompt, ownSeed ? sampling : sampling.withSeed(ingress.randomSeed())));
    }
    return new CompletionRequest(generations, shape, echo, scored);
  }

  private static Generation generation(
      Ingress ingress, Fields fields, Prompt prompt, boolean echo) {
    boolean streamed = fields.bool("stream");
    if (echo && Long.valueOf(0).equals(fields.value("max_tokens"))) {
      return promptOnly(ingress, fields, prompt, streamed);
    }
    return new GenerationFields(ingress, fields).generation(prompt, streamed);
  }

  /** {@code echo} with {@code max_tokens} 0 gives the prompt back, scored, and nothing else. */
  private static Generation promptOnly(
      Ingress ingress, Fields fields, Prompt prompt, boolean streamed) {
    Map<String, @Nullable Object> one = new LinkedHashMap<>(fields.map());
    one.put("max_tokens", 1L);
    Generation generation =
        new GenerationFields(ingress, fields.with(one)).generation(prompt, streamed);
    return generation.with(prompt, generation.sampling().withMaxTokens(0));
  }

  private static SamplingParams withScoredPrompt(SamplingParams sampling) {
    return sampling.withPromptLogprobs(sampling.logprobs());
  }

  private static void checkScoredEcho(Fields fields, int choices) {
    if (fields.has("prompt_logprobs")) {
      throw fields.unsupported(
          "prompt_logprobs", "echo with logprobs reports the same; leave one of them out.");
    }
    // One choice of a prompt scores it for all: others could be ahead of it in a stream.
    boolean comesWhole = fields.bool("use_beam_search");
    if (choices > 1 && fields.bool("stream") && !comesWhole) {
      throw fields.unsupported(
          "echo", "with logprobs, only single choices are streamed; leave n or stream out.");
    }
  }
}
