package io.verdier.verticles.http.routes;

import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.JsonWriter;
import io.verdier.verticles.http.Serving;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** {@code GET /v1/models} and {@code /v1/models/{id}}. Stateless. */
final class Models {
  private static final String PREFIX = "/v1/models/";

  private Models() {}

  static void list(Exchange exchange, Map<String, @Nullable Object> body) {
    exchange.ingress().checkReady();
    JsonWriter out = exchange.ingress().writer().clear();
    out.object().field("object", "list").name("data").array();
    for (Serving serving : exchange.ingress().servings()) {
      ModelCard card = serving.card();
      for (String name : card.names()) {
        write(out, card, name);
      }
      for (AdapterCard adapter : card.adapters()) {
        write(out, card, adapter);
      }
    }
    out.end().end();
    exchange.replyJson(out);
  }

  static void one(Exchange exchange, Map<String, @Nullable Object> body) {
    exchange.ingress().checkReady();
    String path = exchange.request().path();
    String id = decoded(path.substring(PREFIX.length()));
    Serving serving =
        exchange.ingress().servings().stream()
            .filter(it -> it.names().contains(id))
            .findFirst()
            .orElse(exchange.ingress().serving());
    serving.checkName(id);
    ModelCard card = serving.card();
    JsonWriter out = exchange.ingress().writer().clear();
    serving
        .named(id)
        .ifPresentOrElse(
            adapter -> write(out, card, adapter),
            () -> write(out, card, card.names().contains(id) ? id : card.names().getFirst()));
    exchange.replyJson(out);
  }

  private static String decoded(String id) {
    try {
      return URLDecoder.decode(id.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException malformed) {
      return id;
    }
  }

  private static void write(JsonWriter out, ModelCard card, String name) {
    begin(out, card, name);
    out.field("root", card.root()).name("parent").nothing();
    out.field("max_model_len", card.maxModelLen());
    permission(out, card, name);
  }

  /** As vLLM has them: an adapter's length is its parent's, and not told again. */
  private static void write(JsonWriter out, ModelCard card, AdapterCard adapter) {
    begin(out, card, adapter.name());
    out.field("root", adapter.root()).field("parent", adapter.parent());
    out.name("max_model_len").nothing();
    permission(out, card, adapter.name());
  }

  private static void begin(JsonWriter out, ModelCard card, String name) {
    out.object().field("id", name).field("object", "model");
    out.field("created", card.createdSeconds()).field("owned_by", "vllm");
  }

  private static void permission(JsonWriter out, ModelCard card, String name) {
    out.name("permission").array().object();
    out.field("id", "modelperm-" + Integer.toHexString(name.hashCode()));
    out.field("object", "model_permission").field("created", card.createdSeconds());
    out.field("allow_create_engine", false).field("allow_sampling", true);
    out.field("allow_logprobs", true).field("allow_search_indices", false);
    out.field("allow_view", true).field("allow_fine_tuning", false);
    out.field("organization", "*").name("group").nothing().field("is_blocking", false);
    out.end().end().end();
  }
}
