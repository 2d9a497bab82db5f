package io.verdier.engine.text.template;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Strings as Python sees them: sequences of code points. All indexes here count code points; the
 * common string without surrogate pairs takes the short way.
 */
final class Chars {
  private Chars() {}

  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  static boolean isPlain(String text) {
    return length(text) == text.length();
  }

  /** The code points as strings of their own. */
  static List<Object> split(String text, Meter meter) {
    meter.steps(text.length());
    List<Object> parts = new ArrayList<>(text.length());
    for (int i = 0; i < text.length(); ) {
      int end = text.offsetByCodePoints(i, 1);
      parts.add(text.substring(i, end));
      i = end;
    }
    return parts;
  }

  /** Code points {@code from} (included) to {@code to} (excluded), both within the string. */
  static String slice(String text, int from, int to) {
    if (from >= to) {
      return "";
    }
    if (isPlain(text)) {
      return text.substring(from, to);
    }
    int start = text.offsetByCodePoints(0, from);
    return text.substring(start, text.offsetByCodePoints(start, to - from));
  }

  /** Index in code points of an index in chars. */
  static int index(String text, int charIndex) {
    return text.codePointCount(0, charIndex);
  }

  /** What {@code str.isspace}, {@code strip()} and {@code \s} take for white space. */
  static boolean isSpace(int c) {
    return switch (c) {
      case 0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 -> true;
      default ->
          (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) || (c >= 0x2000 && c <= 0x200A);
    };
  }

  /** Where {@code splitlines} breaks. */
  static boolean isLineBreak(int c) {
    return switch (c) {
      case 0x85, 0x2028, 0x2029 -> true;
      default -> (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E);
    };
  }

  static boolean isBlank(String text, int from, int to) {
    for (int i = from; i < to; i++) {
      if (!isSpace(text.charAt(i))) {
        return false;
      }
    }
    return true;
  }

  /** First char that is not white space, at or after {@code from}. */
  static int skipSpace(String text, int from) {
    int i = from;
    while (i < text.length() && isSpace(text.charAt(i))) {
      i++;
    }
    return i;
  }

  static String stripped(String text, boolean left, boolean right) {
    int from = left ? skipSpace(text, 0) : 0;
    int to = text.length();
    while (right && to > from && isSpace(text.charAt(to - 1))) {
      to--;
    }
    return text.substring(from, to);
  }

  /** Without leading and trailing characters out of {@code set}. */
  static String stripped(String text, String set, boolean left, boolean right) {
    BitSet members = new BitSet();
    set.codePoints().forEach(members::set);
    int from = 0;
    int to = text.length();
    while (left && from < to && members.get(text.codePointAt(from))) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && members.get(text.codePointBefore(to))) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  /** Order by code point, which is not UTF-16 order where surrogates are involved. */
  static int compare(String left, String right) {
    int common = Math.min(left.length(), right.length());
    for (int i = 0; i < common; i++) {
      char a = left.charAt(i);
      char b = right.charAt(i);
      if (a != b) {
        if (Character.isSurrogate(a) == Character.isSurrogate(b)) {
          return Character.compare(a, b);
        }
        return Character.isSurrogate(a) ? 1 : -1;
      }
    }
    return Integer.compare(left.length(), right.length());
  }
}
