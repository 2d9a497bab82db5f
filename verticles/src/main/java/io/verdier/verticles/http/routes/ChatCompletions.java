package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.verticles.http.Answer;
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
    Fields fields = HeaderFields.over(exchange, Fields.of(body, Body.CHAT));
    FieldGate.check(exchange, fields);
    launch(exchange, ChatRequest.read(exchange, fields));
  }

  static void launch(Exchange exchange, ChatRequest request) {
    Repeats.checkEchoes(exchange.ingress(), "echo", request.repeatedChars());
    if (!request.showsPrompt()) {
      launch(exchange, request, null);
      return;
    }
    Render.rendered(exchange.ingress(), request.generation())
        .onComplete(prompt -> onPrompt(exchange, request, prompt.text()), exchange::fail);
  }

  private static void onPrompt(Exchange exchange, ChatRequest request, String prompt) {
    if (exchange.isDone()) {
      return;
    }
    try {
      launch(exchange, request, prompt);
    } catch (RuntimeException refused) {
      exchange.fail(refused);
    }
  }

  /**
   * @param prompt its text, for those who asked
   */
  private static void launch(Exchange exchange, ChatRequest request, @Nullable String prompt) {
    int choices = request.generation().choices();
    Look look = look(request, prompt);
    if (request.shape().streamed()) {
      Answer answer = new SseStream(exchange, new ChatFormat(look));
      Flight.launch(
          exchange,
          List.of(request.generation()),
          PacedAnswer.of(answer, request.shape().interval(), choices));
    } else {
      WholeAnswer.Layout layout = (out, done, usage) -> write(out, look, done, usage);
      Flight.launch(
          exchange, List.of(request.generation()), new WholeAnswer(exchange, choices, layout));
    }
  }

  /**
   * What an answer needs of its request; the conversation is not kept until then. Immutable.
   *
   * @param echo what each choice begins with
   * @param prompt its text; null: it is not shown
   * @param logprobs whether tokens of the answer come with them
   * @param tokenIds whether the answer's token ids are shown
   */
  record Look(
      AnswerShape shape,
      String role,
      String echo,
      @Nullable String prompt,
      int choices,
      boolean logprobs,
      boolean tokenIds,
      boolean promptLogprobs,
      ChatParsing parsing) {}

  static Look look(ChatRequest request, @Nullable String prompt) {
    SamplingParams sampling = request.generation().sampling();
    // Tokens would tell the reasoning that is not to be seen.
    boolean tells = request.parsing().showReasoning() || request.parsing().reasoning().isEmpty();
    return new Look(
        request.shape(),
        request.role(),
        request.echo(),
        prompt,
        request.generation().choices(),
        sampling.logprobs() >= 0 && tells,
        request.shape().tokenIds() && tells,
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
    shape.usage(out, usage);
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
    out.field("prompt_text", look.prompt());
    out.name("kv_transfer_params").nothing().end();
  }

  private static void choice(JsonWriter out, Look look, int index, Choice choice) {
    ChatText text = new ChatText(look.parsing(), choice.promptTail);
    text.append(choice.text.toString());
    text.finish();
    out.object().field("index", index).name("message").object();
    text.writeMessage(out, look.role(), look.echo(), look.shape().dialect());
    out.end();
    out.name("logprobs");
    if (look.logprobs()) {
      new ScoresJson(look.shape().tokensAsIds()).chat(out, choice.scores);
    } else {
      out.nothing();
    }
    choice.ending(out, text.endsByCalling());
    out.name("token_ids");
    if (look.tokenIds()) {
      out.values(choice.generated());
    } else {
      out.nothing();
    }
    out.end();
  }
}
