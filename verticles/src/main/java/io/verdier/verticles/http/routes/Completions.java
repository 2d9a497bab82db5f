package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /v1/completions}. Stateless. */
final class Completions {
  private Completions() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    CompletionRequest request = CompletionRequest.read(exchange, body);
    List<String> echoes = echoes(request);
    SamplingParams sampling = request.generations().getFirst().sampling();
    boolean logprobs = sampling.logprobs() >= 0;
    if (request.shape().streamed()) {
      CompletionFormat format = new CompletionFormat(request.shape(), echoes, logprobs);
      Flight.launch(exchange, request.generations(), new SseStream(exchange, format));
    } else {
      Look look =
          new Look(
              request.shape(),
              echoes,
              logprobs,
              sampling.promptLogprobs() >= 0,
              request.generations().getFirst().choices());
      WholeAnswer.Layout layout = (out, choices, usage) -> write(out, look, choices, usage);
      Flight.launch(
          exchange, request.generations(), new WholeAnswer(exchange, echoes.size(), layout));
    }
  }

  /** What a whole answer needs of its request; the prompts are not kept until then. Immutable. */
  private record Look(
      AnswerShape shape,
      List<String> echoes,
      boolean logprobs,
      boolean promptLogprobs,
      int choicesPerPrompt) {}

  /** What each choice's text begins with. */
  private static List<String> echoes(CompletionRequest request) {
    List<String> echoes = new ArrayList<>();
    for (Generation generation : request.generations()) {
      String echo =
          request.echo() && generation.prompt() instanceof Prompt.Text text ? text.text() : "";
      for (int i = 0; i < generation.choices(); i++) {
        echoes.add(echo);
      }
    }
    return echoes;
  }

  private static void write(JsonWriter out, Look look, List<Choice> choices, Usage usage) {
    AnswerShape shape = look.shape();
    out.object().field("id", shape.id()).field("object", "text_completion");
    out.field("created", shape.created()).field("model", shape.model());
    out.name("choices").array();
    for (int i = 0; i < choices.size(); i++) {
      choice(out, look, i, choices.get(i));
    }
    out.end().name("service_tier").nothing();
    out.field("system_fingerprint", shape.fingerprint());
    shape.usage(out, usage.prompt(), usage.completion(), usage.cached());
    out.name("kv_transfer_params").nothing().end();
  }

  private static void choice(JsonWriter out, Look look, int index, Choice choice) {
    AnswerShape shape = look.shape();
    String text = look.echoes().get(index) + choice.text;
    out.object().field("index", index).field("text", text);
    out.name("logprobs");
    if (look.logprobs()) {
      new ScoresJson(shape.tokensAsIds()).legacy(out, choice.scores, 0);
    } else {
      out.nothing();
    }
    choice.ending(out, false);
    out.name("prompt_logprobs");
    // The choices of a prompt share its scores; they are written once.
    if (look.promptLogprobs() && index % look.choicesPerPrompt() == 0) {
      ScoresJson.prompt(out, choice.promptScores);
    } else {
      out.nothing();
    }
    if (shape.tokenIds()) {
      out.name("prompt_token_ids").values(choice.promptTokens);
      out.name("token_ids").values(choice.generated());
    } else {
      out.name("prompt_token_ids").nothing().name("token_ids").nothing();
    }
    out.end();
  }
}
