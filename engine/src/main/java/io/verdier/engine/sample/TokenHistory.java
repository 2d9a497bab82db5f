package io.verdier.engine.sample;

import java.util.Arrays;
import java.util.Objects;

/**
 * Owned by the executor thread. The tokens of one sequence: its prompt, then what it said. The last
 * ones may be awaited: counted already, and not known yet.
 */
public final class TokenHistory {
  private final int promptTokens;
  private final TokenCounts counts = new TokenCounts();
  private int[] tokens;
  private int size;
  private int known;
  private int counted;

  /**
   * @param tokens prompt and, behind it, tokens generated before; copied
   * @param promptTokens how many of them are the prompt
   */
  public TokenHistory(int[] tokens, int promptTokens) {
    if (promptTokens < 0 || promptTokens > tokens.length) {
      throw new IllegalArgumentException(
          promptTokens + " prompt tokens of " + tokens.length + " tokens");
    }
    this.promptTokens = promptTokens;
    this.tokens = Arrays.copyOf(tokens, tokens.length + 64);
    this.size = tokens.length;
    this.known = tokens.length;
  }

  /** One more token is known: the first awaited one, or else a new one. */
  public void append(int token) {
    if (known == size) {
      await();
    }
    tokens[known++] = token;
  }

  /** One more token will be known. */
  public void await() {
    if (size == tokens.length) {
      tokens = Arrays.copyOf(tokens, size + (size >> 1) + 1);
    }
    size++;
  }

  /** All tokens; also the position of the next one. */
  public int size() {
    return size;
  }

  /** Those that are not awaited. */
  public int known() {
    return known;
  }

  public int promptTokens() {
    return promptTokens;
  }

  public int generatedTokens() {
    return size - promptTokens;
  }

  public int get(int i) {
    return tokens[Objects.checkIndex(i, known)];
  }

  public int[] copy() {
    return copyFrom(0);
  }

  /** The known tokens from a position on. */
  public int[] copyFrom(int position) {
    return Arrays.copyOfRange(tokens, position, known);
  }

  /**
   * How often each token was said, brought up to date. Sequences without penalties never ask and
   * pay nothing; with penalties each token is counted once, not once a step.
   */
  TokenCounts counts() {
    for (; counted < known; counted++) {
      counts.add(tokens[counted], counted >= promptTokens);
    }
    return counts;
  }
}
