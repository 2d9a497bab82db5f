package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.Ingress;
import io.verdier.verticles.http.JsonWriter;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code GET /load}: how many requests the server holds now, for balancers. Stateless. */
final class Load {
  private Load() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> none) {
    Ingress ingress = exchange.ingress();
    int load = ingress.config().http().tellsLoad() ? ingress.admission().requests() : 0;
    JsonWriter out = ingress.writer().clear();
    exchange.replyJson(out.object().field("server_load", load).end());
  }
}
