package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /invocations}, the one route that SageMaker calls: what the body asks for says which
 * route it means. Stateless.
 */
final class Invocations {
  private Invocations() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    Fields fields = Fields.of(body);
    if (fields.has("messages")) {
      ChatCompletions.run(exchange, body);
    } else if (fields.has("prompt")) {
      Completions.run(exchange, body);
    } else {
      throw fields.wrong("messages", "there, or prompt");
    }
  }
}
