package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.vertx.core.buffer.Buffer;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code /health}, {@code /ping} and Vertex AI's health route: 200 with an empty body when work is
 * taken, else 503, in a cluster with the reason. Never waits for anything. Stateless.
 */
final class Health {
  private Health() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    int status = exchange.ingress().isHealthy() ? 200 : 503;
    exchange.reply(status, "text/plain", Buffer.buffer(exchange.ingress().trouble()));
  }
}
