package io.verdier.verticles.bench.offline;

import java.util.SplittableRandom;

/** Prompts as token ids. Stateless. */
final class PromptTokens {
  private PromptTokens() {}

  /** A function of its arguments: a prompt is the same whatever batch it is in. */
  static int[] of(long seed, int index, int length, int vocabulary) {
    return new SplittableRandom(seed * 31 + index).ints(length, 0, vocabulary).toArray();
  }
}
