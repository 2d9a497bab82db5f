package io.verdier.verticles.http.routes;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.verticles.bus.Delta.Scores;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.http.Answer;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Flight;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.SseStream;
import io.verdier.verticles.http.Usage;
import io.vertx.core.Future;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /v1/completions}. Stateless. */
final class Completions {
  static final String OBJECT = "text_completion";

  private Completions() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    CompletionRequest request = CompletionRequest.read(exchange, body);
    if (!request.echo()) {
      launch(exchange, request, Collections.nCopies(request.generations().size(), ""));
      return;
    }
    List<Future<String>> texts = new ArrayList<>();
    for (Generation generation : request.generations()) {
      texts.add(text(exchange.ingress(), generation.asked().prompt()));
    }
    Future.all(texts)
        .onComplete(
            ignored -> onTexts(exchange, request, texts.stream().map(Future::result).toList()),
            exchange::fail);
  }

  private static void onTexts(Exchange exchange, CompletionRequest request, List<String> texts) {
    if (exchange.isDone()) {
      return;
    }
    try {
      launch(exchange, request, texts);
    } catch (RuntimeException refused) {
      exchange.fail(refused);
    }
  }

  /** The text of a prompt; that of token ids is the tokenizer's to say. */
  private static Future<String> text(Ingress ingress, Prompt prompt) {
    return switch (prompt) {
      case Prompt.Text text -> Future.succeededFuture(text.text());
      case Prompt.Tokens tokens -> ingress.detokenized(tokens.ids());
      case Prompt.Chat _, Prompt.Pair _ ->
          throw new IllegalStateException("neither a chat nor a pair is completed");
    };
  }

  private static void launch(Exchange exchange, CompletionRequest request, List<String> prompts) {
    List<String> echoes = echoes(request, prompts);
    long repeated = echoes.stream().mapToLong(String::length).sum();
    Repeats.checkEchoes(exchange.ingress(), "echo", repeated);
    SamplingParams sampling = request.generations().getFirst().sampling();
    boolean logprobs = sampling.logprobs() >= 0;
    boolean found = request.generations().getFirst().asked().lengthPenalty().isPresent();
    if (request.shape().streamed() && !found) {
      CompletionFormat format =
          new CompletionFormat(request.shape(), echoes, logprobs, request.scoredEcho());
      Answer answer =
          PacedAnswer.of(
              new SseStream(exchange, format), request.shape().interval(), echoes.size());
      Flight.launch(exchange, request.generations(), answer);
    } else {
      Look look =
          new Look(
              request.shape(),
              echoes,
              logprobs,
              request.scoredEcho(),
              sampling.promptLogprobs() >= 0 && !request.scoredEcho(),
              request.generations().getFirst().choices());
      WholeAnswer.Layout layout = (out, choices, usage) -> write(out, look, choices, usage);
      Flight.launch(exchange, request.generations(), answer(exchange, look, layout));
    }
  }

  /** The whole answer, which may be wanted as the one event of a stream. */
  private static WholeAnswer answer(Exchange exchange, Look look, WholeAnswer.Layout layout) {
    AnswerShape shape = look.shape();
    int choices = look.echoes().size();
    return shape.streamed()
        ? WholeAnswer.asEvent(exchange, choices, layout, new EventHead(shape, OBJECT))
        : new WholeAnswer(exchange, choices, layout);
  }

  /** What a whole answer needs of its request; the prompts are not kept until then. Immutable. */
  private record Look(
      AnswerShape shape,
      List<String> echoes,
      boolean logprobs,
      boolean scoredEcho,
      boolean promptLogprobs,
      int choicesPerPrompt) {}

  /** What each choice's text begins with. */
  private static List<String> echoes(CompletionRequest request, List<String> prompts) {
    List<String> echoes = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      echoes.addAll(Collections.nCopies(request.generations().get(i).choices(), prompts.get(i)));
    }
    return echoes;
  }

  private static void write(JsonWriter out, Look look, List<Choice> choices, Usage usage) {
    AnswerShape shape = look.shape();
    out.object().field("id", shape.id()).field("object", OBJECT);
    out.field("created", shape.created()).field("model", shape.model());
    out.name("choices").array();
    for (int i = 0; i < choices.size(); i++) {
      // The choices of a prompt share its scores: the first has them, and all tell them.
      choice(out, look, i, choices.get(i), choices.get(i - i % look.choicesPerPrompt()));
    }
    out.end().name("service_tier").nothing();
    out.field("system_fingerprint", shape.fingerprint());
    if (shape.streamed() && shape.finalUsage()) {
      out.name("usage").nothing(); // it has an event of its own
    } else {
      shape.usage(out, usage);
    }
    out.name("kv_transfer_params").nothing().end();
  }

  private static void choice(
      JsonWriter out, Look look, int index, Choice choice, Choice firstOfPrompt) {
    AnswerShape shape = look.shape();
    String text = look.echoes().get(index) + choice.text;
    out.object().field("index", index).field("text", text);
    out.name("logprobs");
    if (look.logprobs()) {
      List<Scores> scores = look.scoredEcho() ? firstOfPrompt.scoredPrompt() : new ArrayList<>();
      scores.addAll(choice.scores);
      new ScoresJson(shape.tokensAsIds()).legacy(out, scores, 0);
    } else {
      out.nothing();
    }
    choice.ending(out, false);
    out.name("prompt_logprobs");
    if (look.promptLogprobs()) {
      ScoresJson.prompt(out, firstOfPrompt.promptScores);
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
