package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code GET /version}. Stateless. */
final class Version {
  private Version() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    JsonWriter out = exchange.ingress().writer().clear();
    out.object().field("version", exchange.ingress().version()).end();
    exchange.replyJson(out);
  }
}
