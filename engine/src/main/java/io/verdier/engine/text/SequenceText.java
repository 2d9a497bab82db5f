package io.verdier.engine.text;

import io.verdier.engine.text.reasoning.ReasoningCounter;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The text of one sequence: detokenizer and stop strings together. Owned by the detokenizer thread
 * of its sequence.
 *
 * <p>Its state is a function of the tokens given so far, however they were grouped. A sequence that
 * moves is resumed by giving the tokens it had to a new object and dropping the text that comes
 * out.
 *
 * <p>A client that does not stream gets all text with the last piece.
 */
public final class SequenceText {
  /** As {@link #reasoningTokens}. */
  public static final int UNCOUNTED = -1;

  private static final int[] NO_TOKENS = {};

  /**
   * What some tokens gave. Immutable.
   *
   * @param text new text for the client
   * @param stop the stop string that ended the sequence, null when none did
   * @param consumed how many of the tokens belong to the answer: all, or those up to the one that
   *     completed the stop string; those behind it must not be counted
   */
  public record Piece(String text, @Nullable String stop, int consumed) {}

  private final TextParams params;
  private final int minTokens;
  private final Detokenizer detokenizer;
  private final StopMatcher matcher;
  private final StringBuilder fresh = new StringBuilder(); // detokenized, not yet matched
  private final StringBuilder ready = new StringBuilder(); // for the client
  private final @Nullable ReasoningCounter thoughts;
  private int tokens;
  private int detokenized; // characters, those that a stop string takes away included
  private int[] ends = new int[1]; // of the tokens taken last, in those characters

  /**
   * @param minTokens stop strings completed by the first so many tokens do not count
   * @param context the prompt or its last few tokens, see {@link Tokenizer#detokenizer}; a template
   *     may have opened the reasoning there
   */
  public SequenceText(Tokenizer tokenizer, TextParams params, int minTokens, int[] context) {
    this.params = params;
    this.minTokens = minTokens;
    this.detokenizer =
        tokenizer.detokenizer(params.skipSpecialTokens(), params.visibleTokens(), context);
    this.matcher = new StopMatcher(params.stopStrings(), params.includeStop());
    this.thoughts =
        params
            .thoughts()
            .map(format -> new ReasoningCounter(format, tokenizer.decode(context, false)))
            .orElse(null);
  }

  /** Takes the sequence's next tokens. After a stop string nothing is taken any more. */
  public Piece append(int[] next) {
    int consumed = take(next, next.length);
    return piece(consumed, params.streaming() || isStopped());
  }

  /**
   * Takes the sequence's last tokens and gives out everything held back.
   *
   * @param endedByToken whether the last of them is the stop token that ended the sequence. Like a
   *     stop string it is left out of the text unless stop strings stay in; it still counts.
   */
  public Piece finish(int[] last, boolean endedByToken) {
    boolean hidden = endedByToken && !params.includeStop() && last.length > 0;
    int shown = hidden ? last.length - 1 : last.length;
    int consumed = take(last, shown);
    Arrays.fill(ends, consumed, last.length, detokenized);
    if (!isStopped()) {
      consumed = last.length;
      detokenizer.finish(fresh);
      match();
      matcher.finish(ready);
    }
    return piece(consumed, true);
  }

  /** The end, without further tokens. */
  public Piece finish() {
    return finish(NO_TOKENS, false);
  }

  /** Tokens of reasoning so far; -1: nobody counts them. */
  public int reasoningTokens() {
    return thoughts == null ? UNCOUNTED : thoughts.count();
  }

  /**
   * Where one of the tokens that were taken last ends in the text: in characters of all that was
   * detokenized, those behind a stop string included.
   *
   * @param index among those tokens
   */
  public int textEnd(int index) {
    return ends[index];
  }

  private boolean isStopped() {
    return matcher.matched() != StopMatcher.NONE;
  }

  private int take(int[] next, int count) {
    ends = ends.length < next.length ? new int[next.length] : ends;
    for (int i = 0; i < count; i++) {
      if (isStopped()) {
        return i;
      }
      tokens++;
      detokenizer.append(next[i], fresh);
      detokenized += fresh.length();
      ends[i] = detokenized;
      if (thoughts != null) {
        thoughts.append(fresh);
      }
      match();
    }
    return count;
  }

  private void match() {
    if (tokens > minTokens) {
      matcher.append(fresh, ready);
    } else {
      matcher.appendUnmatched(fresh, ready);
    }
    fresh.setLength(0);
  }

  private Piece piece(int consumed, boolean deliver) {
    String text = deliver ? ready.toString() : "";
    if (deliver) {
      ready.setLength(0);
    }
    int matched = matcher.matched();
    String stop = matched == StopMatcher.NONE ? null : params.stopStrings().get(matched);
    return new Piece(text, stop, consumed);
  }
}
