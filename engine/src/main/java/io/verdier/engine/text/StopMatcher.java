package io.verdier.engine.text;

import io.verdier.engine.RejectedException;
import java.util.List;

/**
 * Finds the stop strings of one sequence in its text as the text comes. Owned by the detokenizer
 * thread of its sequence.
 *
 * <p>The rule: the match that <em>ends</em> first wins; of several that end at the same character,
 * the first in the list. Only this rule gives the same answer however the text is cut into pieces,
 * because a later character can never change what an earlier one has decided. Fed character by
 * character, vLLM does the same.
 *
 * <p>What could still become a stop string is held back: the longest end of the text that is the
 * beginning of one, so at most the longest stop string less one character. Nothing is held back
 * when the stop string stays in the text. Each stop string has a Knuth-Morris-Pratt automaton,
 * whose state is exactly that length; so the cost is linear in the text, whatever the stop strings
 * are.
 */
public final class StopMatcher {
  /** Stands for "no stop string has matched". */
  public static final int NONE = -1;

  private final String[] stops;
  private final int[][] fallbacks; // per stop string: longest proper border of each prefix
  private final int[] states; // per stop string: length of its prefix that ends the text
  private final boolean includeStop;
  private final StringBuilder held = new StringBuilder();
  private int matched = NONE;

  /**
   * @throws RejectedException when a stop string is empty or holds half a surrogate pair, which
   *     would match inside a character
   */
  public StopMatcher(List<String> stopStrings, boolean includeStop) {
    this.stops = stopStrings.toArray(String[]::new);
    this.fallbacks = new int[stops.length][];
    this.states = new int[stops.length];
    this.includeStop = includeStop;
    for (int i = 0; i < stops.length; i++) {
      if (stops[i].isEmpty()) {
        throw RejectedException.invalid(
            "stop", "stop[%d] is empty; give at least one character.".formatted(i));
      }
      if (Tokenizer.indexOfUnpairedSurrogate(stops[i]) >= 0) {
        throw RejectedException.invalid(
            "stop", "stop[%d] has an unpaired surrogate; send valid Unicode.".formatted(i));
      }
      fallbacks[i] = fallbacks(stops[i]);
    }
  }

  /** Index in the list of the stop string that matched, or {@link #NONE}. */
  public int matched() {
    return matched;
  }

  /**
   * Takes the next piece of text and appends to {@code out} what is now certain to belong to the
   * answer. After a match every piece is dropped.
   *
   * @return whether a stop string has matched
   */
  public boolean append(CharSequence piece, StringBuilder out) {
    return append(piece, out, true);
  }

  /**
   * The same, but a stop string that ends inside {@code piece} does not count: the sequence has not
   * yet generated as many tokens as the client wants at least.
   */
  public void appendUnmatched(CharSequence piece, StringBuilder out) {
    append(piece, out, false);
  }

  private boolean append(CharSequence piece, StringBuilder out, boolean mayMatch) {
    if (matched != NONE) {
      return true;
    }
    if (stops.length == 0) {
      out.append(piece);
      return false;
    }
    for (int i = 0; i < piece.length(); i++) {
      int hit = advance(piece.charAt(i));
      if (hit != NONE && mayMatch) {
        matched = hit;
        held.append(piece, 0, i + 1);
        int dropped = includeStop ? 0 : stops[hit].length();
        out.append(held, 0, held.length() - dropped);
        held.setLength(0);
        return true;
      }
    }
    held.append(piece);
    int certain = held.length() - heldBack();
    out.append(held, 0, certain);
    held.delete(0, certain);
    return false;
  }

  /** The text has ended: what was held back belongs to it, unless a stop string has matched. */
  public void finish(StringBuilder out) {
    out.append(held);
    held.setLength(0);
  }

  /** Moves all automata by one character; the first in the list that completes, or NONE. */
  private int advance(char c) {
    int hit = NONE;
    for (int s = stops.length - 1; s >= 0; s--) {
      String stop = stops[s];
      int state = states[s];
      if (state == stop.length()) {
        state = fallbacks[s][state];
      }
      while (state > 0 && stop.charAt(state) != c) {
        state = fallbacks[s][state];
      }
      if (stop.charAt(state) == c) {
        state++;
      }
      states[s] = state;
      if (state == stop.length()) {
        hit = s;
      }
    }
    return hit;
  }

  /** How many characters at the end of the text may still become a stop string. */
  private int heldBack() {
    int longest = 0;
    if (!includeStop) {
      for (int s = 0; s < stops.length; s++) {
        boolean complete = states[s] == stops[s].length(); // only when it did not count
        longest = Math.max(longest, complete ? fallbacks[s][states[s]] : states[s]);
      }
    }
    return longest;
  }

  /**
   * {@code fallbacks[n]}: length of the longest proper prefix of the first n that also ends them.
   */
  private static int[] fallbacks(String stop) {
    int[] result = new int[stop.length() + 1];
    int border = 0;
    for (int i = 1; i < stop.length(); i++) {
      while (border > 0 && stop.charAt(border) != stop.charAt(i)) {
        border = result[border];
      }
      if (stop.charAt(border) == stop.charAt(i)) {
        border++;
      }
      result[i + 1] = border;
    }
    return result;
  }
}
