package io.verdier.engine.run;

import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import io.verdier.engine.text.Detokenizer;
import io.verdier.engine.text.ThinkingBudget;
import io.verdier.engine.text.reasoning.ReasoningCounter;
import org.jspecify.annotations.Nullable;

/**
 * Ends the reasoning of one sequence when its budget is used up. Owned by the executor thread. As
 * {@link Guidance} is, a pure function of the tokens that the sequence has said: who starts in the
 * middle of an answer gets where who said it is.
 *
 * <p>What the sequence says is free until its reasoning has as many tokens as it may have. Then
 * only the tokens may follow, one by one, that spell the end of reasoning, whatever the model
 * thinks of them; and then it is free again. Tokens are counted as the client's usage counts them,
 * by the very text that it gets, but as soon as they may be reasoning: half a character and half a
 * marker count too, so that there are never more than were allowed.
 */
final class ThinkingLimit implements TokenMask {
  private static final long[] NO_TOKENS = {};

  private final int[] ending;
  private final int tokensMax;
  private final Detokenizer detokenizer;
  private final ReasoningCounter counter;
  private final StringBuilder text = new StringBuilder(); // of one token
  private int seen; // tokens of the history that are taken into account
  private int ended; // tokens of the ending that were said
  private boolean isUsedUp;
  private boolean isOver; // nothing is asked of the tokens from here on
  private long[] tokens = NO_TOKENS;

  /**
   * @param promptTokens of the sequence
   */
  ThinkingLimit(ThinkingBudget budget, int promptTokens) {
    ending = budget.ending();
    tokensMax = budget.tokensMax();
    detokenizer = budget.detokenizer();
    counter = budget.counter();
    seen = promptTokens;
    judge();
  }

  /** What may follow a history, all of whose tokens are known; null: it does not say. */
  @Nullable TokenMask maskBehind(TokenHistory history) {
    for (; !isOver && seen < history.known(); seen++) {
      accept(history.get(seen));
    }
    if (isOver || !isUsedUp) {
      return null;
    }
    int next = ending[ended];
    tokens = new long[(next >> 6) + 1]; // a new one: who has copied the last knows it by that
    tokens[next >> 6] = 1L << next;
    return this;
  }

  /** Whether the reasoning is over, so that the last token says nothing of the next. */
  boolean isOver() {
    return isOver;
  }

  private void accept(int token) {
    if (isUsedUp) {
      ended++;
      isOver = ended == ending.length;
      return;
    }
    text.setLength(0);
    detokenizer.append(token, text);
    counter.append(text);
    judge();
  }

  private void judge() {
    isOver = counter.isOver();
    isUsedUp = counter.isOpen() && counter.sinceBegin() >= tokensMax;
  }

  @Override
  public long[] tokens() {
    return tokens;
  }

  @Override
  public boolean mayEnd() {
    return false;
  }

  @Override
  public boolean mustEnd() {
    return false;
  }
}
