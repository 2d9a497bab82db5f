package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.api.Body;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code POST /detokenize}. Stateless. */
final class Detokenize {
  private Detokenize() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Ingress ingress = exchange.ingress();
    Fields fields = Fields.of(body, Body.DETOKENIZE);
    FieldGate.check(exchange, fields);
    ingress.serving().checkName(fields.string("model"));
    List<?> tokens = fields.list("tokens");
    if (tokens == null) {
      throw fields.wrong("tokens", "a list of token ids");
    }
    int vocabulary = ingress.serving().card().vocabularySize();
    int[] ids = tokens.isEmpty() ? new int[0] : TokenIds.read(tokens, "tokens", vocabulary);
    ingress
        .detokenized(ids)
        .onComplete(
            text -> {
              JsonWriter out = ingress.writer().clear();
              out.object().field("prompt", text).end();
              exchange.replyJson(out);
            },
            exchange::fail);
  }
}
