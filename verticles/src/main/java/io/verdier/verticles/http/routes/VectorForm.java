package io.verdier.verticles.http.routes;

import io.verdier.engine.model.EmbeddingSpec;
import java.util.Arrays;

/**
 * How hidden states become the vectors of an answer. Immutable.
 *
 * @param width of a hidden state
 * @param kept leading numbers of it that make the vector
 * @param normalized whether the vector gets length 1
 */
record VectorForm(int width, int kept, boolean normalized) {

  /**
   * @throws io.verdier.engine.RejectedException if the model's vectors cannot be shortened so
   */
  static VectorForm read(Fields fields, EmbeddingSpec spec) {
    // vLLM called it normalize first, then use_activation.
    boolean normalized = fields.bool("use_activation", fields.bool("normalize", spec.normalized()));
    if (!fields.has("dimensions")) {
      return new VectorForm(spec.width(), spec.width(), normalized);
    }
    if (!spec.shortens()) {
      throw fields.unsupported(
          "dimensions",
          "the model does not say that its vectors may be shortened (matryoshka_dimensions in config.json).");
    }
    int kept = fields.given("dimensions", spec.width());
    if (spec.widths().length > 0 && Arrays.binarySearch(spec.widths(), kept) < 0) {
      throw fields.wrong("dimensions", "one of " + Arrays.toString(spec.widths()));
    }
    return new VectorForm(spec.width(), kept, normalized);
  }

  /** How many vectors some hidden states are. */
  int count(float[] states) {
    return states.length / width;
  }

  /** One of them, {@code [kept]}. */
  float[] vector(float[] states, int index) {
    float[] vector = Arrays.copyOfRange(states, index * width, index * width + kept);
    double length = Math.sqrt(dot(vector, vector));
    if (!Double.isFinite(length)) {
      throw new IllegalStateException("a hidden state of length " + length);
    }
    for (int i = 0; normalized && length > 0 && i < kept; i++) {
      vector[i] = (float) (vector[i] / length);
    }
    return vector;
  }

  /** The cosine of the angle between two vectors, 0 if one of them has no length. */
  static float cosine(float[] a, float[] b) {
    double lengths = Math.sqrt(dot(a, a) * dot(b, b));
    return lengths == 0 ? 0 : (float) (dot(a, b) / lengths);
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }
}
