package io.verdier.engine.backend;

import org.jspecify.annotations.Nullable;

/**
 * Attention of some sequences in float64, a row at a time: the plainest way to say what it is.
 *
 * @param gains of the norm of each head; null: heads are not normalised
 * @param window positions that a row sees, its own included; 0: all before it
 */
record AttentionOracle(Heads heads, Rotations rotations, @Nullable Gains gains, int window) {
  private static final float EPSILON = 1e-5f;

  /** How many queries share a key, and how wide they are. */
  record Heads(int queries, int keys, int width) {}

  /**
   * Angles by position.
   *
   * @param frequencies of each pair
   * @param shift position of each sequence's first token
   */
  record Rotations(double[] frequencies, double amplitude, int shift) {}

  /** Factors of the norm, by place in a head. */
  record Gains(float[] query, float[] key) {}

  /**
   * What a row attends to.
   *
   * @param q {@code [tokens][queries * width]}, all sequences end to end; keys and values likewise
   * @param lengths of the sequences
   */
  float[] row(float[][] q, float[][] k, float[][] v, int[] lengths, int row) {
    int first = 0;
    int s = 0;
    while (row >= first + lengths[s]) {
      first += lengths[s++];
    }
    int begin = window == 0 ? first : Math.max(first, row - window + 1);
    int width = heads.width;
    float[] out = new float[heads.queries * width];
    for (int h = 0; h < heads.queries; h++) {
      int kv = h / (heads.queries / heads.keys) * width;
      double[] query = ready(q[row], h * width, gains == null ? null : gains.query, row - first);
      double total = 0;
      double[] sums = new double[width];
      for (int t = begin; t <= row; t++) {
        double[] key = ready(k[t], kv, gains == null ? null : gains.key, t - first);
        double dot = 0;
        for (int d = 0; d < width; d++) {
          dot += query[d] * key[d];
        }
        double weight = Math.exp(dot / Math.sqrt(width));
        total += weight;
        for (int d = 0; d < width; d++) {
          sums[d] += weight * v[t][kv + d];
        }
      }
      for (int d = 0; d < width; d++) {
        out[h * width + d] = (float) (sums[d] / total);
      }
    }
    return out;
  }

  /** A head of a row as it meets others: normalised, rotated. */
  private double[] ready(float[] row, int at, float @Nullable [] gain, int index) {
    int width = heads.width;
    double[] x = new double[width];
    double squares = 0;
    for (int d = 0; d < width; d++) {
      squares += (double) row[at + d] * row[at + d];
    }
    for (int d = 0; d < width; d++) {
      double factor = gain == null ? 1 : gain[d] / Math.sqrt(squares / width + EPSILON);
      x[d] = row[at + d] * factor;
    }
    double[] y = new double[width];
    int half = width / 2;
    for (int i = 0; i < half; i++) {
      double angle = (rotations.shift + index) * rotations.frequencies[i];
      double cos = rotations.amplitude * Math.cos(angle);
      double sin = rotations.amplitude * Math.sin(angle);
      y[i] = x[i] * cos - x[i + half] * sin;
      y[i + half] = x[i + half] * cos + x[i] * sin;
    }
    return y;
  }
}
