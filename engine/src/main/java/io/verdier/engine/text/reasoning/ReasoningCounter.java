package io.verdier.engine.text.reasoning;

import java.util.Arrays;

/**
 * Counts the tokens of an answer's reasoning, those of its markers left out. Owned by whoever
 * follows the text of one sequence.
 *
 * <p>A token counts where any of its text is reasoning, or it stands there and has none. What is
 * reasoning is the parser's to say: this class only remembers where each token begins in the text,
 * until the reasoning is over.
 */
public final class ReasoningCounter {
  private static final ReasoningParser.Sink NOBODY =
      new ReasoningParser.Sink() {
        @Override
        public void reasoning(CharSequence text) {}

        @Override
        public void content(CharSequence text) {}
      };

  private static final char REPLACEMENT = '\uFFFD';

  private final ReasoningParser parser;
  private int[] ends = new int[64]; // of the tokens so far, in characters of text
  private int tokens;
  private int count;
  private boolean isOver;

  /**
   * @param promptTail the end of the prompt, special tokens included
   */
  public ReasoningCounter(ReasoningFormat format, String promptTail) {
    parser = format.parser(promptTail, NOBODY);
    isOver = parser.isPast();
  }

  /** Takes the text that one token has added; empty while a character is not complete. */
  public void append(CharSequence text) {
    if (isOver) {
      return;
    }
    parser.append(text);
    boolean completes = tokens > 0 && text.length() > 1 && text.charAt(0) == REPLACEMENT;
    if (completes) { // a character that broke off is told late, and is of the token that began it
      ends[tokens - 1]++;
    }
    int own = completes ? text.length() - 1 : text.length();
    int end = own + (tokens == 0 ? 0 : ends[tokens - 1]);
    if (tokens == ends.length) {
      ends = Arrays.copyOf(ends, 2 * tokens);
    }
    ends[tokens++] = end;
    if (parser.isPast()) {
      isOver = true;
      count = within(parser.reasoningBegin(), parser.reasoningEnd());
      ends = new int[0];
    }
  }

  /** Tokens of reasoning so far. */
  public int count() {
    return isOver ? count : within(parser.reasoningBegin(), parser.reasoningEnd());
  }

  /** Whether no token behind the last one can be reasoning. */
  public boolean isOver() {
    return isOver;
  }

  /** Whether the next token is reasoning, or part of a marker. */
  public boolean isOpen() {
    return !isOver && parser.isReasoning();
  }

  /**
   * Where it {@linkplain #isOpen is open}, tokens since its beginning, those included whose text is
   * not complete or may turn out to be a marker: never less than what {@link #count} comes to.
   */
  public int sinceBegin() {
    return tokens - firstWithin(parser.reasoningBegin());
  }

  /**
   * Tokens that begin before {@code end} and do not end before {@code begin}; those without text of
   * their own are where they begin.
   */
  private int within(int begin, int end) {
    if (begin == end) {
      return 0;
    }
    return beginBefore(end) - firstWithin(begin);
  }

  /** The first token that does not end before a place of the text. */
  private int firstWithin(int begin) {
    int first = beginBefore(begin);
    boolean reachesIn = first > 0 && ends[first - 1] > begin;
    return reachesIn ? first - 1 : first;
  }

  /** How many tokens begin before a place of the text: where the one before them ends. */
  private int beginBefore(int place) {
    if (place == 0) {
      return 0;
    }
    int low = 0;
    int high = tokens;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (ends[middle] < place) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return Math.min(tokens, low + 1);
  }
}
