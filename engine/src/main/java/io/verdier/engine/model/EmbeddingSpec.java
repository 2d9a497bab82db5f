package io.verdier.engine.model;

import io.verdier.conf.Pooler;
import io.verdier.conf.Pooler.Runner;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.weights.CheckpointFiles;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * How a model that embeds makes vectors of its hidden states. Immutable (the array must not be
 * changed).
 *
 * @param pooling whose hidden states are taken
 * @param normalized whether vectors get length 1
 * @param width of a vector
 * @param shortens whether the first numbers of a vector are a vector too (Kusupati et al.,
 *     "Matryoshka Representation Learning", 2022), as {@code config.json} says
 * @param widths that it may be shortened to, sorted; empty: to any
 * @param classifier what it makes of the vectors instead; null: they are what is asked for
 */
public record EmbeddingSpec(
    Pooling pooling,
    boolean normalized,
    int width,
    boolean shortens,
    int[] widths,
    @Nullable Classifier classifier) {

  /**
   * Reads how a model embeds: from the flags, from the files that Sentence Transformers leave
   * beside a model, else as vLLM does by default.
   *
   * @return empty: it generates
   * @throws ModelException if the flags ask for what the model is not, or its files for what is not
   *     there
   */
  static Optional<EmbeddingSpec> read(
      CheckpointFiles files, ConfigReader config, ModelSpec spec, Pooler asked) {
    Optional<Classifier> classifier = Classifier.read(files, config, spec.hidden());
    if (classifier.isPresent()) {
      return Optional.of(classifying(classifier.get(), spec, asked));
    }
    if (asked.runner() == Runner.CLASSIFYING) {
      throw new ModelException(
          "--task or --convert asks for classes (classify, reward), which the model does not have:"
              + " its architecture is not one ...ForSequenceClassification.");
    }
    boolean says = SentenceModules.areIn(files.directory());
    if (asked.runner() == Runner.GENERATE && spec.isHeadless()) {
      throw new ModelException(
          "--runner generate: the model was saved as "
              + spec.architecture()
              + ", without an output matrix; it can only embed.");
    }
    boolean embeds = asked.runner() == Runner.AUTO && (says || spec.isHeadless());
    if (asked.runner() != Runner.POOLING && !embeds) {
      return Optional.empty();
    }
    Optional<SentenceModules> modules =
        says ? Optional.of(SentenceModules.read(files.directory())) : Optional.empty();
    Supplier<Pooling> own = () -> modules.map(SentenceModules::pooling).orElse(Pooling.LAST);
    boolean ownNorm = modules.map(SentenceModules::normalizes).orElse(true);
    int[] widths = config.integers("matryoshka_dimensions", 1, spec.hidden());
    Arrays.sort(widths);
    return Optional.of(
        new EmbeddingSpec(
            asked.type().map(EmbeddingSpec::pooling).orElseGet(own),
            asked.normalizes().orElse(ownNorm),
            spec.hidden(),
            widths.length > 0 || config.flag("is_matryoshka", false),
            widths,
            null));
  }

  private static EmbeddingSpec classifying(Classifier classifier, ModelSpec spec, Pooler asked) {
    if (asked.runner() == Runner.GENERATE) {
      throw new ModelException(
          "--runner generate: the model sorts texts into classes; it cannot generate.");
    }
    Pooling pooling = asked.type().map(EmbeddingSpec::pooling).orElse(Pooling.LAST);
    return new EmbeddingSpec(pooling, false, spec.hidden(), false, new int[0], classifier);
  }

  private static Pooling pooling(Pooler.Type type) {
    return switch (type) {
      case CLS -> Pooling.FIRST;
      case LAST -> Pooling.LAST;
      case MEAN -> Pooling.MEAN;
      case ALL -> Pooling.EVERY;
    };
  }
}
