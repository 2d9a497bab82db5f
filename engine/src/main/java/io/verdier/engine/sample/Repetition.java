package io.verdier.engine.sample;

/**
 * What counts as an answer that repeats itself: the same few tokens over and over at its end.
 * Immutable.
 *
 * @param patternMin fewest tokens that are repeated, ≥ 1
 * @param patternMax most tokens that are repeated; 0: nothing counts
 * @param count how often, ≥ 2
 */
public record Repetition(int patternMin, int patternMax, int count) {

  /** Answers may repeat themselves. */
  public static final Repetition NONE = new Repetition(1, 0, 2);

  /**
   * Whether the tokens from {@code from} to {@code to} end so.
   *
   * @param from of the answer
   */
  public boolean ends(int[] tokens, int from, int to) {
    int longest = (int) Math.min(patternMax, (long) (to - from) / count);
    for (int length = patternMin; length <= longest; length++) {
      if (isRepeated(tokens, to, length)) {
        return true;
      }
    }
    return false;
  }

  private boolean isRepeated(int[] tokens, int to, int length) {
    for (int i = to - (count - 1) * length; i < to; i++) {
      if (tokens[i] != tokens[i - length]) {
        return false;
      }
    }
    return true;
  }
}
