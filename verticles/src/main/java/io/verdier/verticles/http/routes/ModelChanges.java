package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.UpdateModels;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.api.Body;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * {@code POST /update_models}, as Google's co-hosting server has it: other models are served, those
 * that stay go on. Answered when all are there. Stateless.
 */
final class ModelChanges {
  /** A model may have to be fetched first. */
  private static final Duration LOADING_MAX = Duration.ofHours(6);

  private ModelChanges() {}

  static void run(Exchange exchange, Map<String, @Nullable Object> body) {
    exchange.ingress().checkStays(); // no model need be there
    if (exchange.ingress().config().cluster().enabled()) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "In a cluster a node serves one model: start nodes with the new one and drain the"
              + " others.");
    }
    Fields fields = Fields.of(body, Body.UPDATE_MODELS);
    FieldGate.check(exchange, fields);
    String place = fields.string("model_config_path");
    if (place == null || place.isBlank()) {
      throw fields.wrong("model_config_path", "gs://bucket/file.yaml, or the path of a file");
    }
    exchange
        .ingress()
        .bus()
        .request(Addresses.MODELS, new UpdateModels(place), UpdateModels.Done.class, LOADING_MAX)
        .onComplete(
            done -> {
              JsonWriter out = exchange.ingress().writer().clear();
              out.object().field("status", "success");
              write(out, "loaded", done.loaded());
              write(out, "kept", done.kept());
              write(out, "unloaded", done.unloaded());
              exchange.replyJson(out.end());
            },
            exchange::fail);
  }

  private static void write(JsonWriter out, String field, List<String> names) {
    out.name(field).array();
    for (String name : names) {
      out.value(name);
    }
    out.end();
  }
}
