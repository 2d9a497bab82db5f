package io.verdier.engine.model;

import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.WeightMap;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The head of a model that sorts texts into classes: one score per class of the hidden state of the
 * last token. Immutable (the array must not be changed).
 *
 * <p>It is worked out on the host in double precision: it is a few products of a vector, and so its
 * result depends on that vector alone, whatever computed it.
 *
 * @param labels names of the classes
 * @param weight {@code [labels, width]} f32, row by row
 * @param activation from scores to probabilities
 */
public record Classifier(List<String> labels, float[] weight, Activation activation) {
  static final String SUFFIX = "ForSequenceClassification";
  static final String WEIGHT = "score.weight";
  private static final int LABELS_MAX = 1 << 16;

  /** What becomes of scores. */
  public enum Activation {
    /** Of the classes one is right. */
    SOFTMAX,
    /** Each is right or wrong by itself. */
    SIGMOID,
    /** Scores are numbers of their own. */
    NONE
  }

  public Classifier {
    labels = List.copyOf(labels);
  }

  /** Reads the head of a model; empty: it has none. */
  static Optional<Classifier> read(CheckpointFiles files, ConfigReader config, int width) {
    if (!isIn(config)) {
      return Optional.empty();
    }
    if (!files.areComing() && !WeightMap.isIn(files.directory())) {
      throw new ModelException(
          "config.json: the model classifies, and its " + WEIGHT + " is not there.");
    }
    Optional<ConfigReader> names = config.object("id2label");
    int count = 0;
    while (names.isPresent() && names.get().has(Integer.toString(count))) {
      count++;
    }
    count = count > 0 ? count : config.integer("num_labels", 1, LABELS_MAX, 2);
    List<String> labels = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String absent = "LABEL_" + i;
      String key = Integer.toString(i);
      labels.add(names.map(found -> found.text(key, absent)).orElse(absent));
    }
    try (WeightMap weights = WeightMap.open(files)) {
      StoredTensor matrix = weights.tensor(WEIGHT, count, width);
      float[] weight = new float[count * width];
      for (int row = 0; row < count; row++) {
        System.arraycopy(matrix.rows(row, 1).floats(), 0, weight, row * width, width);
      }
      return Optional.of(new Classifier(labels, weight, activation(config, count)));
    }
  }

  /** Whether a configuration is that of a model with such a head. */
  static boolean isIn(ConfigReader config) {
    for (String name : config.texts("architectures")) {
      if (name.endsWith(SUFFIX)) {
        return true;
      }
    }
    return false;
  }

  private static Activation activation(ConfigReader config, int labels) {
    Activation usual = labels == 1 ? Activation.SIGMOID : Activation.SOFTMAX; // of one it is 1
    return switch (config.text("problem_type", "")) {
      case "regression" -> Activation.NONE;
      case "multi_label_classification" -> Activation.SIGMOID;
      default -> usual;
    };
  }

  /**
   * The classes' scores.
   *
   * @param hidden {@code [width]}
   * @return {@code [labels]}
   */
  public double[] scores(float[] hidden) {
    double[] scores = new double[labels.size()];
    for (int label = 0; label < scores.length; label++) {
      double sum = 0;
      for (int i = 0; i < hidden.length; i++) {
        sum += (double) weight[label * hidden.length + i] * hidden[i];
      }
      scores[label] = sum;
    }
    return scores;
  }

  /** What {@link #activation} makes of scores. */
  public double[] activated(double[] scores) {
    double[] activated = scores.clone();
    double max = Double.NEGATIVE_INFINITY;
    for (double score : scores) {
      max = Math.max(max, score);
    }
    double sum = 0;
    for (int i = 0; i < scores.length; i++) {
      activated[i] =
          switch (activation) {
            case SOFTMAX -> StrictMath.exp(scores[i] - max);
            case SIGMOID -> 1 / (1 + StrictMath.exp(-scores[i]));
            case NONE -> scores[i];
          };
      sum += activated[i];
    }
    for (int i = 0; i < scores.length && activation == Activation.SOFTMAX; i++) {
      activated[i] /= sum;
    }
    return activated;
  }
}
