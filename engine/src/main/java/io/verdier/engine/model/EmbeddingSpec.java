package io.verdier.engine.model;

import io.verdier.conf.Pooler;
import io.verdier.conf.Pooler.Runner;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.weights.CheckpointFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
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
  private static final String MODULES = "modules.json";
  private static final String POOLING = "1_Pooling";
  private static final long MODULES_BYTES_MAX = 1L << 20;

  /**
   * Reads how a model embeds: from the flags, from the files that Sentence Transformers leave
   * beside a model, else as vLLM does by default.
   *
   * @return empty: it generates
   */
  static Optional<EmbeddingSpec> read(
      CheckpointFiles files, ConfigReader config, ModelSpec spec, Pooler asked) {
    Path directory = files.directory();
    Optional<Classifier> classifier = Classifier.read(files, config, spec.hidden());
    if (classifier.isPresent()) {
      return Optional.of(classifying(classifier.get(), spec, asked));
    }
    if (asked.runner() == Runner.CLASSIFYING) {
      throw new ModelException(
          "--task or --convert asks for classes (classify, reward), which the model does not have:"
              + " its architecture is not one ...ForSequenceClassification.");
    }
    Path poolingFile = directory.resolve(POOLING).resolve(ModelLoader.CONFIG_FILE);
    boolean says =
        Files.isRegularFile(poolingFile) && Files.isRegularFile(directory.resolve(MODULES));
    if (asked.runner() == Runner.GENERATE || (asked.runner() == Runner.AUTO && !says)) {
      return Optional.empty();
    }
    Pooling own = says ? pooling(ConfigReader.read(poolingFile)) : Pooling.LAST;
    boolean ownNorm = !says || normalizes(directory.resolve(MODULES));
    int[] widths = config.integers("matryoshka_dimensions", 1, spec.hidden());
    Arrays.sort(widths);
    return Optional.of(
        new EmbeddingSpec(
            asked.type().map(EmbeddingSpec::pooling).orElse(own),
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

  /** One of these switches is on; means weighted by position and largest values are not there. */
  private static Pooling pooling(ConfigReader config) {
    if (config.flag("pooling_mode_lasttoken", false)) {
      return Pooling.LAST;
    }
    if (config.flag("pooling_mode_mean_tokens", false)) {
      return Pooling.MEAN;
    }
    if (config.flag("pooling_mode_cls_token", false)) {
      return Pooling.FIRST;
    }
    throw new ModelException(
        POOLING
            + "/config.json: of its pooling modes only lasttoken, mean_tokens and cls_token are"
            + " available; choose one by --pooler-config.");
  }

  /** A list of modules, which name their classes; the last of them may be the norm. */
  private static boolean normalizes(Path modules) {
    try {
      if (Files.size(modules) > MODULES_BYTES_MAX) {
        throw new ModelException(MODULES + ": more than " + MODULES_BYTES_MAX + " bytes.");
      }
      return Files.readString(modules).contains(".Normalize\"");
    } catch (IOException e) {
      throw new ModelException(MODULES + ": it cannot be read.", e);
    }
  }
}
