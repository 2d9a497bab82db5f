package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.Abort;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.api.Body;
import io.vertx.core.buffer.Buffer;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /abort_requests}: ends requests with what they have so far. Stateless. Ids that
 * nobody has are no error: the request may just have ended.
 */
final class AbortRequests {
  private AbortRequests() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body, Body.ABORT);
    FieldGate.check(exchange, fields);
    List<?> given = fields.list("request_ids");
    Set<String> ids = new HashSet<>();
    for (Object id : given == null ? List.of() : given) {
      if (!(id instanceof String text)) {
        throw fields.wrong("request_ids", "a list of strings");
      }
      ids.add(text);
    }
    exchange.ingress().bus().publish(Addresses.ABORTS, new Abort(ids, given == null));
    exchange.reply(200, "application/json", Buffer.buffer("{}"));
  }
}
