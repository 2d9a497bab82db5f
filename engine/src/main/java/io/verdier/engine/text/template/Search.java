package io.verdier.engine.text.template;

/**
 * Finds a part in texts, in time linear in the text. Immutable.
 *
 * <p>{@code String.indexOf} is fast but takes length times length on repetitive input, which a
 * hostile template can write in a few characters; longer parts therefore go through
 * Knuth-Morris-Pratt.
 */
final class Search {
  private static final int SHORT = 32;

  private final String part;

  /** For each prefix the length of its longest proper border; empty for short parts. */
  private final int[] borders;

  Search(String part) {
    this.part = part;
    this.borders = part.length() <= SHORT ? new int[0] : borders(part);
  }

  private static int[] borders(String part) {
    int[] borders = new int[part.length()];
    int border = 0;
    for (int i = 1; i < part.length(); i++) {
      while (border > 0 && part.charAt(i) != part.charAt(border)) {
        border = borders[border - 1];
      }
      if (part.charAt(i) == part.charAt(border)) {
        border++;
      }
      borders[i] = border;
    }
    return borders;
  }

  /** Index in chars of the first occurrence at or after {@code from}, -1 if there is none. */
  int next(String text, int from) {
    return borders.length == 0 ? text.indexOf(part, from) : scan(text, from, false);
  }

  /** The last occurrence that ends at or before {@code to}. */
  int last(String text, int to) {
    return borders.length == 0
        ? text.lastIndexOf(part, to - part.length())
        : scan(text.substring(0, to), 0, true);
  }

  private int scan(String text, int from, boolean toEnd) {
    int found = -1;
    int matched = 0;
    for (int i = from; i < text.length(); i++) {
      while (matched > 0 && text.charAt(i) != part.charAt(matched)) {
        matched = borders[matched - 1];
      }
      if (text.charAt(i) == part.charAt(matched)) {
        matched++;
      }
      if (matched == part.length()) {
        found = i - matched + 1;
        if (!toEnd) {
          return found;
        }
        matched = borders[matched - 1];
      }
    }
    return found;
  }
}
