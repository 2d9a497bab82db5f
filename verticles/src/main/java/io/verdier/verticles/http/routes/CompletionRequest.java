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
 */
record CompletionRequest(List<Generation> generations, AnswerShape shape, boolean echo) {

  static CompletionRequest read(Exchange exchange, Map<String, @Nullable Object> body) {
    Ingress ingress = exchange.ingress();
    Fields fields = Fields.of(body);
    FieldGate.check(exchange, fields, Body.TEXT);
    ingress.serving().checkName(fields.string("model"));
    AnswerShape shape = AnswerShape.read(exchange, fields, "cmpl-");
    boolean echo = fields.bool("echo", false);
    List<Prompt> prompts = new PromptFields(ingress, fields).prompts("prompt");
    checkEcho(fields, prompts, echo);
    Generation generation = generation(ingress, fields, prompts.getFirst(), echo);
    boolean ownSeed = fields.has("seed") && !Long.valueOf(-1).equals(fields.value("seed"));
    List<Generation> generations = new ArrayList<>(prompts.size());
    for (Prompt prompt : prompts) {
      SamplingParams sampling = generation.sampling();
      // Each prompt has random numbers of its own, unless the client chose the seed.
      generations.add(
          generation.with(prompt, ownSeed ? sampling : sampling.withSeed(ingress.randomSeed())));
    }
    return new CompletionRequest(generations, shape, echo);
  }

  private static Generation generation(
      Ingress ingress, Fields fields, Prompt prompt, boolean echo) {
    boolean streamed = fields.bool("stream", false);
    if (echo && Long.valueOf(0).equals(fields.value("max_tokens"))) {
      return promptOnly(ingress, fields, prompt, streamed);
    }
    return new GenerationFields(ingress, fields, GenerationFields.Dialect.COMPLETION)
        .generation(prompt, streamed);
  }

  /** {@code echo} with {@code max_tokens} 0 gives the prompt back, scored, and nothing else. */
  private static Generation promptOnly(
      Ingress ingress, Fields fields, Prompt prompt, boolean streamed) {
    Map<String, @Nullable Object> one = new LinkedHashMap<>(fields.map());
    one.put("max_tokens", 1L);
    Generation generation =
        new GenerationFields(ingress, Fields.of(one), GenerationFields.Dialect.COMPLETION)
            .generation(prompt, streamed);
    return generation.with(prompt, generation.sampling().withMaxTokens(0));
  }

  private static void checkEcho(Fields fields, List<Prompt> prompts, boolean echo) {
    if (!echo) {
      return;
    }
    if (prompts.stream().anyMatch(prompt -> !(prompt instanceof Prompt.Text))) {
      throw fields.unsupported("echo", "only prompts given as text are echoed.");
    }
    if (fields.has("logprobs")) {
      throw fields.unsupported(
          "echo", "log probabilities of an echoed prompt are not available; use prompt_logprobs.");
    }
  }
}
