package io.verdier.engine.grammar;

import java.util.List;

/**
 * What an answer may say to itself before what it is held to begins: from its start, or an opening
 * token, up to an ending. Immutable (the arrays must not be changed).
 *
 * <p>An answer that has not begun to think may open its thoughts with its first token only. An
 * opening that is spelled by several tokens is left out, so that such an answer is held to its form
 * from the start: it matches all the same, and no mask has to follow two texts at a time.
 *
 * @param isOpen whether the prompt has opened them already
 * @param openings token ids, any of which opens them
 * @param endings token ids, any of which ends them
 * @param endingTexts texts of ASCII characters that end them and have no token of their own
 */
public record Thinking(boolean isOpen, int[] openings, int[] endings, List<String> endingTexts) {
  private static final int[] NO_TOKENS = {};

  /** The answer is held to its form from its first token. */
  public static final Thinking NONE = new Thinking(false, NO_TOKENS, NO_TOKENS, List.of());

  public Thinking {
    endingTexts = List.copyOf(endingTexts);
  }
}
