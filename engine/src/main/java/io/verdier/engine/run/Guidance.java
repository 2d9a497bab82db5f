package io.verdier.engine.run;

import io.verdier.engine.RejectedException;
import io.verdier.engine.grammar.GrammarException;
import io.verdier.engine.grammar.GrammarState;
import io.verdier.engine.grammar.TokenGrammar;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Holds one sequence to its constraint. Owned by the executor thread. A pure function of the tokens
 * that the sequence has said: who starts in the middle of an answer gets where who said it is.
 *
 * <p>What was said before the constraint begins is free. Behind an end token nothing is left to
 * constrain; if a step was planned before that token was known, what it chooses is dropped, and may
 * be the end once more.
 */
final class Guidance implements TokenMask {
  private static final long[] NO_TOKENS = {};

  private final TokenGrammar grammar;
  private final int[] endTokenIds;
  private final int[] beginAfter;
  private final int promptTokens;
  private @Nullable GrammarState state; // null: it has not begun, or is over
  private boolean isOver;
  private int seen; // tokens of the history that are taken into account
  private long[] tokens = NO_TOKENS;
  private boolean mayEnd;
  private boolean mustEnd;

  /**
   * @param endTokenIds the model's own end tokens
   * @param promptTokens of the sequence: they are not held to anything
   */
  Guidance(TokenGrammar grammar, int[] endTokenIds, int[] beginAfter, int promptTokens) {
    this.grammar = grammar;
    this.endTokenIds = endTokenIds;
    this.beginAfter = beginAfter;
    this.promptTokens = promptTokens;
    seen = promptTokens;
    state = beginAfter.length == 0 ? grammar.start() : null;
  }

  /**
   * What may follow a history, all of whose tokens are known; null: anything.
   *
   * @throws RejectedException if nothing may, or the history breaks the constraint
   */
  @Nullable TokenMask maskBehind(TokenHistory history) {
    try {
      for (; seen < history.known(); seen++) {
        accept(history, history.get(seen));
      }
      GrammarState at = state;
      if (at == null) {
        tokens = NO_TOKENS;
        mayEnd = true;
        mustEnd = true;
        return isOver ? this : null;
      }
      stand(at);
    } catch (GrammarException tooMuch) {
      throw refused(String.valueOf(tooMuch.getMessage()));
    }
    return this;
  }

  private void accept(TokenHistory history, int token) {
    GrammarState at = state;
    if (isOver) {
      return;
    }
    if (at == null) {
      state = begins(history) ? grammar.start() : null;
      return;
    }
    if (Arrays.stream(endTokenIds).anyMatch(id -> id == token)) {
      isOver = true;
      state = null;
      return;
    }
    GrammarState next = grammar.next(at, token);
    if (next == null) {
      throw refused("the tokens that the answer has so far do not match it.");
    }
    state = next;
  }

  /** Whether the token at {@code seen} is the last of those that the constraint waits for. */
  private boolean begins(TokenHistory history) {
    int first = seen + 1 - beginAfter.length;
    if (first < promptTokens) {
      return false;
    }
    for (int i = 0; i < beginAfter.length; i++) {
      if (history.get(first + i) != beginAfter[i]) {
        return false;
      }
    }
    return true;
  }

  private void stand(GrammarState at) {
    tokens = grammar.allowed(at);
    mayEnd = at.mayEnd();
    mustEnd = true;
    for (int i = 0; mustEnd && i < tokens.length; i++) {
      mustEnd = tokens[i] == 0;
    }
    if (mustEnd && !mayEnd) {
      throw refused("no token of this model's vocabulary goes on from where the answer is.");
    }
  }

  private static RejectedException refused(String why) {
    return RejectedException.invalid(
        "structured_outputs", "The answer cannot be held to what it must match: " + why);
  }

  @Override
  public long[] tokens() {
    return tokens;
  }

  @Override
  public boolean mayEnd() {
    return mayEnd;
  }

  @Override
  public boolean mustEnd() {
    return mustEnd;
  }
}
