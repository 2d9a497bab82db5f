package io.verdier.engine.text.template;

import java.util.Locale;

/** Upper, lower and title case, as Python's strings do it. */
final class Casing {
  private Casing() {}

  static String capitalized(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.codePointAt(0);
    // lowered as a whole: a sigma looks at what stands before it
    String lower = text.toLowerCase(Locale.ROOT);
    return titled(first) + lower.substring(lowered(text, 0).length());
  }

  /** {@code str.title}: a letter after a letter is lower, any other is title case. */
  static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean inside = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      out.append(inside ? lowered(text, i) : titled(c));
      i += Character.charCount(c);
      inside = isCased(c);
    }
    return out.toString();
  }

  static String swapped(String text) {
    StringBuilder out = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      if (Character.isUpperCase(c)) {
        out.append(lowered(text, i));
      } else {
        String one = Character.toString(c);
        out.append(Character.isLowerCase(c) ? one.toUpperCase(Locale.ROOT) : one);
      }
      i += Character.charCount(c);
    }
    return out.toString();
  }

  /** Lower case for comparing: what upper and lower case spellings have in common. */
  static String folded(String text) {
    boolean ascii = text.chars().allMatch(c -> c < 128);
    return ascii
        ? text.toLowerCase(Locale.ROOT)
        : text.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT).replace('ς', 'σ');
  }

  static boolean isLower(String text) {
    return text.codePoints().noneMatch(c -> Character.isUpperCase(c) || Character.isTitleCase(c))
        && text.codePoints().anyMatch(Character::isLowerCase);
  }

  static boolean isUpper(String text) {
    return text.codePoints().noneMatch(c -> Character.isLowerCase(c) || Character.isTitleCase(c))
        && text.codePoints().anyMatch(Character::isUpperCase);
  }

  static boolean isTitle(String text) {
    boolean inside = false;
    boolean any = false;
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      i += Character.charCount(c);
      boolean starts = Character.isUpperCase(c) || Character.isTitleCase(c);
      if (inside ? starts : Character.isLowerCase(c)) {
        return false;
      }
      inside = isCased(c);
      any |= inside;
    }
    return any;
  }

  private static boolean isCased(int c) {
    return Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
  }

  /** Lower case of the character at {@code i}; a sigma that ends a word has a form of its own. */
  private static String lowered(String text, int i) {
    int c = text.codePointAt(i);
    if (c != 'Σ' || i == 0) {
      return Character.toString(c).toLowerCase(Locale.ROOT);
    }
    String around = text.substring(i - 1, Math.min(text.length(), i + 2));
    String lower = around.toLowerCase(Locale.ROOT);
    return lower.substring(1, 2);
  }

  private static String titled(int c) {
    int title = Character.toTitleCase(c);
    String upper = Character.toString(c).toUpperCase(Locale.ROOT);
    boolean grows = upper.codePointCount(0, upper.length()) > 1;
    if (!grows || title != c) {
      return Character.toString(title);
    }
    if (c == 'ŉ') {
      return upper; // begins with an apostrophe, so its letter stays a capital
    }
    int first = upper.codePointAt(0); // 'ß' begins a word as 'Ss'
    return Character.toString(first)
        + upper.substring(Character.charCount(first)).toLowerCase(Locale.ROOT);
  }
}
