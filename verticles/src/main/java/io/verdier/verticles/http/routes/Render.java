package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Generation;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.api.Body;
import io.vertx.core.Future;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /v1/chat/completions/render} and {@code POST /v1/completions/render}: the prompts of
 * a request as the model gets them, which is then not asked. Stateless.
 */
final class Render {
  private Render() {}

  /** A prompt as tokens, and what these say, special ones included. */
  record Rendered(int[] ids, String text) {}

  static void chat(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.CHAT);
    FieldGate.check(exchange, fields);
    ChatRequest request = ChatRequest.read(exchange, fields);
    AnswerShape shape = request.shape();
    rendered(exchange.ingress(), request.generation())
        .onComplete(
            prompt -> {
              JsonWriter out = exchange.ingress().writer().clear();
              write(out, shape, prompt);
              exchange.replyJson(out);
            },
            exchange::fail);
  }

  static void completions(Exchange exchange, Map<String, @Nullable Object> body) {
    CompletionRequest request = CompletionRequest.read(exchange, body);
    AnswerShape shape = request.shape();
    List<Future<Rendered>> prompts =
        request.generations().stream()
            .map(generation -> rendered(exchange.ingress(), generation))
            .toList();
    Future.all(prompts)
        .onComplete(
            all -> {
              JsonWriter out = exchange.ingress().writer().clear().array();
              all.<Rendered>list().forEach(prompt -> write(out, shape, prompt));
              exchange.replyJson(out.end());
            },
            exchange::fail);
  }

  static Future<Rendered> rendered(Ingress ingress, Generation generation) {
    return ingress
        .tokenized(generation.asked().prompt(), false)
        .map(reply -> generation.asked().truncation().of(reply.ids()))
        .compose(ids -> ingress.detokenized(ids).map(text -> new Rendered(ids, text)));
  }

  private static void write(JsonWriter out, AnswerShape shape, Rendered prompt) {
    out.object().field("request_id", shape.id()).field("model", shape.model());
    out.name("token_ids").values(prompt.ids()).field("prompt", prompt.text()).end();
  }
}
