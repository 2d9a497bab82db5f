package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.api.OpenApi;
import io.vertx.core.buffer.Buffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code GET /openapi.json} and {@code /docs}. Owned by one event loop. */
final class Description {
  private @Nullable Buffer json; // made for the first who asks

  void run(Exchange exchange, Map<String, @Nullable Object> body) {
    if (json == null) {
      Map<String, Object> api =
          OpenApi.describe(exchange.ingress().version(), Routes.table(exchange.ingress().config()));
      json = Buffer.buffer(JsonSource.of(api).getBytes(StandardCharsets.UTF_8));
    }
    exchange.reply(200, "application/json", json);
  }

  /** The page is a file beside the chat page's. */
  static void page(Exchange exchange, Map<String, @Nullable Object> body) {
    Pages.redirectTo(exchange, "/docs.html");
  }
}
