package io.verdier.engine.run;

import io.verdier.engine.sample.Pooling;

/**
 * What becomes of one prompt's hidden states. Owned by the executor thread.
 *
 * <p>They come in order of position, over as many steps as the prompt takes. A mean is summed one
 * by one in that order, in float64: sums of steps would differ with the steps, and equal requests
 * would get unequal vectors.
 */
final class PooledRows {
  private final Pooling pooling;
  private final int promptTokens;
  private final int width;
  private final float[] vectors; // [vectors, width]
  private final double[] sums; // of a mean
  private int count; // taken so far

  /**
   * @param width of a hidden state
   */
  PooledRows(Pooling pooling, int promptTokens, int width) {
    this.pooling = pooling;
    this.promptTokens = promptTokens;
    this.width = width;
    vectors = new float[Math.multiplyExact(pooling.vectors(promptTokens), width)];
    sums = new double[pooling == Pooling.MEAN ? width : 0];
  }

  /**
   * Takes the next one.
   *
   * @param at where it begins in {@code states}
   */
  void add(int position, float[] states, int at) {
    if (pooling.readsWholePrompt() && position != count) {
      throw new IllegalStateException("position " + position + " is pooled, not " + count);
    }
    switch (pooling) {
      case NONE -> throw new IllegalStateException("nothing is pooled");
      case FIRST, LAST -> System.arraycopy(states, at, vectors, 0, width);
      case EVERY -> System.arraycopy(states, at, vectors, count * width, width);
      case MEAN -> {
        for (int i = 0; i < width; i++) {
          sums[i] += states[at + i];
        }
      }
    }
    count++;
  }

  /** {@code [vectors, width]}, once every position has come. */
  float[] vectors() {
    int expected = pooling.readsWholePrompt() && pooling != Pooling.FIRST ? promptTokens : 1;
    if (count != expected) {
      throw new IllegalStateException(count + " hidden states are pooled, not " + expected);
    }
    for (int i = 0; i < sums.length; i++) {
      vectors[i] = (float) (sums[i] / promptTokens);
    }
    return vectors;
  }
}
