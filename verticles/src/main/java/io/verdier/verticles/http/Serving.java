package io.verdier.verticles.http;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.Parsing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.model.Classifier;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.engine.sample.SamplingSchema;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.ModelCard;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Immutable: the model being served, and the names and sampling values it takes.
 *
 * @param sampling with the model's own defaults
 * @param plainSampling with vLLM's defaults, as Vertex AI's text predictions have them
 */
public record Serving(
    ModelCard card, Set<String> names, SamplingSchema sampling, SamplingSchema plainSampling) {

  private static final String MAX_NEW_TOKENS = "max_new_tokens";

  /** Before a model is there; {@link Ingress#checkReady} keeps requests from it. */
  static final Serving NOTHING = nothing();

  Serving(ModelCard card, ServerConfig config) {
    this(
        card,
        names(card),
        new SamplingSchema(bounds(card, config), card.generationDefaults()),
        new SamplingSchema(bounds(card, config), capOnly(card)));
  }

  private static Set<String> names(ModelCard card) {
    return Stream.of(
            card.names(), card.aliases(), card.adapters().stream().map(AdapterCard::name).toList())
        .flatMap(List::stream)
        .collect(Collectors.toUnmodifiableSet());
  }

  private static Serving nothing() {
    ModelCard card =
        new ModelCard(
            List.of("none"),
            List.of(),
            "",
            1,
            1,
            0,
            Map.of(),
            Optional.empty(),
            new Parsing(false, Optional.empty(), Optional.empty(), "", false),
            "",
            List.of());
    SamplingSchema schema = new SamplingSchema(new SamplingSchema.Bounds(1, 0, 1, 0), Map.of());
    return new Serving(card, Set.of(), schema, schema);
  }

  private static SamplingSchema.Bounds bounds(ModelCard card, ServerConfig config) {
    return new SamplingSchema.Bounds(
        card.vocabularySize(),
        config.model().logprobsMax(),
        config.limits().choicesMax(),
        config.limits().logitBiasMax());
  }

  private static Map<String, Double> capOnly(ModelCard card) {
    Double cap = card.generationDefaults().get(MAX_NEW_TOKENS);
    return cap == null ? Map.of() : Map.of(MAX_NEW_TOKENS, cap);
  }

  /** The same model with other adapters. */
  Serving withAdapters(List<AdapterCard> others) {
    ModelCard changed = card.withAdapters(others);
    return new Serving(changed, names(changed), sampling, plainSampling);
  }

  /** The adapter that the field {@code model} names; null: the base model. */
  public @Nullable AdapterSource adapter(@Nullable String model) {
    return named(model).map(AdapterCard::source).orElse(null);
  }

  /** The name that answers to such a field show. */
  public String shownName(@Nullable String model) {
    return named(model).map(AdapterCard::name).orElse(card.names().getFirst());
  }

  /** The first name of an adapter; the base model's where it has none, for a place is no name. */
  String nameOf(@Nullable AdapterSource adapter) {
    return card.adapters().stream()
        .filter(it -> it.source().equals(adapter))
        .map(AdapterCard::name)
        .findFirst()
        .orElse(card.names().getFirst());
  }

  /** The adapter of that name, if it is one's. */
  public Optional<AdapterCard> named(@Nullable String model) {
    return card.adapters().stream().filter(it -> it.name().equals(model)).findFirst();
  }

  /**
   * How the model embeds.
   *
   * @param api that was asked for
   * @throws RejectedException if it does not
   */
  public EmbeddingSpec embedding(String api) {
    EmbeddingSpec spec = pooled(api);
    if (spec.classifier() != null) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "The model does not support the " + api + " API: it classifies. Use /classify.");
    }
    return spec;
  }

  /**
   * The classes of the model.
   *
   * @throws RejectedException if it has none
   */
  public Classifier classifier() {
    Classifier classifier = pooled("Classify").classifier();
    if (classifier == null) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "The model does not support the Classify API: it has no head for classes.");
    }
    return classifier;
  }

  /** How the model makes classes of a prompt. */
  public EmbeddingSpec pooled(String api) {
    return card.embedding()
        .orElseThrow(
            () ->
                new RejectedException(
                    ErrorCode.UNSUPPORTED,
                    "The model does not support the "
                        + api
                        + " API: it generates. Start the server with --runner pooling to embed."));
  }

  /**
   * @throws RejectedException if the model embeds instead
   */
  public void checkGenerates() {
    if (card.embedding().isPresent()) {
      throw new RejectedException(
          ErrorCode.UNSUPPORTED,
          "The model does not generate: it is served to embed. Start the server with --runner"
              + " generate to generate.");
    }
  }

  /**
   * Checks the field {@code model}. Absent and empty mean the model that is served: Vertex AI's
   * gateway sends both.
   *
   * @throws RejectedException if a model of that name is not served
   */
  public void checkName(@Nullable String model) {
    if (model != null && !model.isEmpty() && !names.contains(model)) {
      String shown = model.length() <= 100 ? model : model.substring(0, 100) + "…";
      throw new RejectedException(
          ErrorCode.NOT_FOUND, "The model `" + shown + "` does not exist.", "model");
    }
  }
}
