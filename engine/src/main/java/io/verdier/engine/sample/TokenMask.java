package io.verdier.engine.sample;

/**
 * Which tokens a constraint lets follow a history. Owned by the executor thread: it speaks of the
 * history as it is, and of a longer one once a token was accepted.
 *
 * <p>The model's end tokens stand for themselves and not for text, so that they are not among the
 * bits: they may follow exactly where the answer may end.
 */
public interface TokenMask {

  /**
   * One bit a token id, lowest first; ids behind the last word may not follow. The owner's array,
   * not to be changed.
   */
  long[] tokens();

  /** Whether the model's end tokens may follow. */
  boolean mayEnd();

  /** Whether nothing else may. */
  boolean mustEnd();

  /** Whether a token has its bit. */
  static boolean has(long[] tokens, int id) {
    return id >> 6 < tokens.length && (tokens[id >> 6] >>> id & 1) != 0;
  }
}
