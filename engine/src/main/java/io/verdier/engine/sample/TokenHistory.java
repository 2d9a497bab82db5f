package io.verdier.engine.sample;

import java.util.Arrays;
import java.util.Objects;

/**
 * Owned by the executor thread. The known tokens of one sequence: its prompt, then what it said.
 */
public final class TokenHistory {
  private final int promptTokens;
  private final TokenCounts counts = new TokenCounts();
  private int[] tokens;
  private int size;
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
  }

  public void append(int token) {
    if (size == tokens.length) {
      tokens = Arrays.copyOf(tokens, size + (size >> 1) + 1);
    }
    tokens[size++] = token;
  }

  /** All known tokens; also the position of the next one. */
  public int size() {
    return size;
  }

  public int promptTokens() {
    return promptTokens;
  }

  public int generatedTokens() {
    return size - promptTokens;
  }

  public int get(int i) {
    return tokens[Objects.checkIndex(i, size)];
  }

  public int[] copy() {
    return Arrays.copyOf(tokens, size);
  }

  /**
   * How often each token was said, brought up to date. Sequences without penalties never ask and
   * pay nothing; with penalties each token is counted once, not once a step.
   */
  TokenCounts counts() {
    for (; counted < size; counted++) {
      counts.add(tokens[counted], counted >= promptTokens);
    }
    return counts;
  }
}
