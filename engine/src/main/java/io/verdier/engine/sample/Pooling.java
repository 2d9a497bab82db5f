package io.verdier.engine.sample;

/**
 * Which hidden states of a prompt a request wants, and what is made of them. A hidden state is the
 * final norm's output at one position, {@code [hidden]}: what the output matrix would be multiplied
 * with.
 */
public enum Pooling {
  /** None: the request is for tokens or scores. */
  NONE,
  /** The first token's, as encoders with a class token have it. */
  FIRST,
  /** The last token's: of a causal model the only one that has seen all of the prompt. */
  LAST,
  /** The mean over all tokens. */
  MEAN,
  /** Every token's, one behind the other. */
  EVERY;

  /** Whether the hidden state at a position is wanted. */
  public boolean takes(int position, int promptTokens) {
    return switch (this) {
      case NONE -> false;
      case FIRST -> position == 0;
      case LAST -> position == promptTokens - 1;
      case MEAN, EVERY -> position < promptTokens;
    };
  }

  /**
   * Whether positions are wanted that a prefix cache would leave out: it keeps keys and values, and
   * no hidden states.
   */
  public boolean readsWholePrompt() {
    return switch (this) {
      case NONE, LAST -> false;
      case FIRST, MEAN, EVERY -> true;
    };
  }

  /** Hidden states that come of a prompt. */
  public int vectors(int promptTokens) {
    return switch (this) {
      case NONE -> 0;
      case FIRST, LAST, MEAN -> 1;
      case EVERY -> promptTokens;
    };
  }
}
