package io.verdier.engine.grammar;

import java.util.Arrays;

/**
 * Where the groups of a pattern close, and where its anchors stand, known before the pattern is
 * read: whether an anchor in a group stands at the edge of the text depends on what comes behind
 * the group. Immutable.
 */
final class RegexOutline {
  private final String pattern;
  private final int[] closes; // by the position of a parenthesis that opens; -1: it does not
  private final int[] anchors; // how many stand before a position

  RegexOutline(String pattern) {
    this.pattern = pattern;
    closes = new int[pattern.length()];
    anchors = new int[pattern.length() + 1];
    Arrays.fill(closes, -1);
    int[] open = new int[pattern.length()];
    int opened = 0;
    boolean isInClass = false;
    int at = 0;
    while (at < pattern.length()) {
      int length = pattern.charAt(at) == '\\' && at + 1 < pattern.length() ? 2 : 1;
      boolean isAnchor = !isInClass && isAnchor(at);
      switch (pattern.charAt(at)) {
        case '[' -> isInClass = true;
        case ']' -> isInClass = false;
        case '(' -> {
          if (!isInClass) {
            open[opened++] = at;
          }
        }
        case ')' -> {
          if (!isInClass && opened > 0) {
            closes[open[--opened]] = at;
          }
        }
        default -> {}
      }
      for (int i = 0; i < length; i++) {
        anchors[at + 1] = anchors[at] + (isAnchor && i == 0 ? 1 : 0);
        at++;
      }
    }
  }

  private boolean isAnchor(int at) {
    return isStart(at) || isEnd(at);
  }

  /** Of a text. */
  boolean isStart(int at) {
    return pattern.charAt(at) == '^' || pattern.startsWith("\\A", at);
  }

  /** Of a text. */
  boolean isEnd(int at) {
    return pattern.charAt(at) == '$'
        || pattern.startsWith("\\Z", at)
        || pattern.startsWith("\\z", at);
  }

  /** Whether a group, by its parenthesis, has anchors and is matched once. */
  boolean isAnchored(int open) {
    int close = closes[open];
    return close >= 0
        && anchors[close] > anchors[open]
        && (close + 1 == pattern.length() || "*+?{".indexOf(pattern.charAt(close + 1)) < 0);
  }

  /** Whether a group is the last part of its alternative. */
  boolean isLast(int open) {
    int behind = closes[open] + 1;
    return behind == pattern.length() || "|)".indexOf(pattern.charAt(behind)) >= 0;
  }
}
