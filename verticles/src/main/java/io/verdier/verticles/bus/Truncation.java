package io.verdier.verticles.bus;

import java.util.Arrays;

/**
 * What is kept of a prompt that is too long. Immutable.
 *
 * @param tokensMax tokens to keep; -1: as many as there are, and what is too long is refused
 * @param end which end of the prompt they are
 */
public record Truncation(int tokensMax, End end) {

  /** Nothing is cut off. */
  public static final Truncation NONE = new Truncation(-1, End.LAST);

  /** Ends of a prompt. */
  public enum End {
    FIRST,
    LAST
  }

  /** What is left of a prompt. */
  public int[] of(int[] prompt) {
    int kept = tokensMax < 0 ? prompt.length : Math.min(tokensMax, prompt.length);
    return switch (end) {
      case FIRST -> Arrays.copyOf(prompt, kept);
      case LAST -> Arrays.copyOfRange(prompt, prompt.length - kept, prompt.length);
    };
  }

  /** The same with room for an answer. */
  public Truncation within(int most) {
    return new Truncation(Math.min(tokensMax, most), end);
  }
}
