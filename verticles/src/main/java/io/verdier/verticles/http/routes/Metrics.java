package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.vertx.core.buffer.Buffer;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code GET /metrics}, in Prometheus text format. Stateless. */
final class Metrics {
  private Metrics() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    String page = exchange.ingress().metrics().text();
    exchange.reply(200, "text/plain; version=0.0.4; charset=utf-8", Buffer.buffer(page));
  }
}
