package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import io.verdier.verticles.http.api.Body;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /v1/chat/completions}. Stateless. */
final class ChatCompletions {
  private ChatCompletions() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body);
    FieldGate.check(exchange, fields, Body.CHAT);
    launch(exchange, ChatRequest.read(exchange, fields));
  }

  static void launch(Exchange exchange, ChatRequest request) {
    AnswerShape shape = request.shape();
    String role = exchange.ingress().config().http().responseRole();
    int choices = request.generation().choices();
    int logprobs = request.generation().sampling().logprobs();
    if (shape.streamed()) {
      ChatFormat format = new ChatFormat(shape, role, choices, logprobs >= 0, request.parsing());
      Flight.launch(exchange, List.of(request.generation()), new SseStream(exchange, format));
    } else {
      Look look = look(request, role);
      WholeAnswer.Layout layout = (out, done, usage) -> write(out, look, done, usage);
      Flight.launch(
          exchange, List.of(request.generation()), new WholeAnswer(exchange, choices, layout));
    }
  }

  /**
   * What a whole answer needs of its request; the conversation is not kept until then. Immutable.
   */
  record Look(
      AnswerShape shape,
      String role,
      int choices,
      boolean logprobs,
      boolean promptLogprobs,
      ChatParsing parsing) {}

  static Look look(ChatRequest request, String role) {
    SamplingParams sampling = request.generation().sampling();
    return new Look(
        request.shape(),
        role,
        request.generation().choices(),
        sampling.logprobs() >= 0,
        sampling.promptLogprobs() >= 0,
        request.parsing());
  }

  /** The whole {@code chat.completion} object. */
  static void write(JsonWriter out, Look look, List<Choice> choices, Usage usage) {
    AnswerShape shape = look.shape();
    out.object().field("id", shape.id()).field("object", "chat.completion");
    out.field("created", shape.created()).field("model", shape.model());
    out.name("choices").array();
    for (int i = 0; i < choices.size(); i++) {
      choice(out, look, i, choices.get(i));
    }
    out.end().name("service_tier").nothing();
    out.field("system_fingerprint", shape.fingerprint());
    shape.usage(out, usage.prompt(), usage.completion(), usage.cached());
    Choice first = choices.getFirst();
    out.name("prompt_logprobs");
    if (look.promptLogprobs()) {
      ScoresJson.prompt(out, first.promptScores);
    } else {
      out.nothing();
    }
    out.name("prompt_token_ids");
    if (shape.tokenIds()) {
      out.values(first.promptTokens);
    } else {
      out.nothing();
    }
    out.name("kv_transfer_params").nothing().end();
  }

  private static void choice(JsonWriter out, Look look, int index, Choice choice) {
    ChatText text = new ChatText(look.parsing(), choice.promptTail);
    text.append(choice.text.toString());
    text.finish();
    out.object().field("index", index).name("message").object();
    text.writeMessage(out, look.role());
    out.end();
    out.name("logprobs");
    if (look.logprobs()) {
      new ScoresJson(look.shape().tokensAsIds()).chat(out, choice.scores);
    } else {
      out.nothing();
    }
    choice.ending(out, text.endsByCalling());
    out.name("token_ids");
    if (look.shape().tokenIds()) {
      out.values(choice.generated());
    } else {
      out.nothing();
    }
    out.end();
  }
}
