package io.verdier.verticles.http.routes;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Ingress;
import org.jspecify.annotations.Nullable;

/**
 * Reads which adapter a request wants: one that is served by name ({@code model}), or one that lies
 * somewhere ({@code dynamic-lora} as Vertex AI's clients send it, {@code lora_id} as its tutorials
 * say). Stateless.
 */
final class AdapterFields {
  private static final String DYNAMIC = "dynamic-lora";
  private static final String ALIAS = "lora_id";

  private AdapterFields() {}

  /** Null: the base model. */
  static @Nullable AdapterSource read(Ingress ingress, Fields fields) {
    AdapterSource named = ingress.serving().adapter(fields.string("model"));
    String field = fields.has(DYNAMIC) ? DYNAMIC : ALIAS;
    String place = fields.string(field);
    if (place == null) {
      return named;
    }
    String other = fields.string(ALIAS);
    if (other != null && !other.equals(place)) {
      throw RejectedException.invalid(
          fields.path(ALIAS), "dynamic-lora and lora_id name two adapters; send one of them.");
    }
    if (!ingress.config().adapters().enabled()) {
      throw RejectedException.invalid(
          fields.path(field),
          field + ": LoRA is not enabled. Start the server with --enable-lora.");
    }
    if (named != null) {
      throw RejectedException.invalid(
          fields.path(field),
          "model and " + field + " name two adapters; name the base model, or leave one out.");
    }
    try {
      return ingress.adapterPolicy().source(place);
    } catch (ArtifactException forbidden) {
      throw RejectedException.invalid(fields.path(field), forbidden.text());
    }
  }
}
