package io.verdier.engine.grammar;

import java.util.ArrayList;
import java.util.List;

/**
 * The text of a grammar and how far it is read: what the notations have in common, which are
 * literals, classes of characters and comments. Owned by its reader.
 */
final class RuleText {
  private static final int MEMBERS_MAX = 10_000; // of a class

  /** Of what is read, for each character. */
  private static final int CHARACTER_BYTES = 32;

  private final String text;
  private final Budget budget;
  private int at;

  RuleText(String text, Budget budget) {
    budget.hold((long) CHARACTER_BYTES * text.length());
    this.text = text;
    this.budget = budget;
  }

  /** Of whoever reads it. */
  Budget budget() {
    return budget;
  }

  int position() {
    return at;
  }

  void goTo(int position) {
    at = position;
  }

  boolean isAtEnd() {
    return at >= text.length();
  }

  /** The next character; -1: there is none. */
  int peek() {
    return isAtEnd() ? -1 : text.charAt(at);
  }

  /** The character behind the next; -1: there is none. */
  int peekBehind() {
    return at + 1 < text.length() ? text.charAt(at + 1) : -1;
  }

  boolean isNext(String expected) {
    return text.startsWith(expected, at);
  }

  boolean accept(String expected) {
    boolean is = isNext(expected);
    if (is) {
      at += expected.length();
    }
    return is;
  }

  void expect(String expected, String where) {
    if (!accept(expected)) {
      throw error("expected " + expected + " " + where);
    }
  }

  /** Letters, digits and the given marks; empty: there are none. */
  String word(String marks) {
    int from = at;
    while (!isAtEnd()
        && (isLetterOrDigit(text.charAt(at)) || marks.indexOf(text.charAt(at)) >= 0)) {
      at++;
    }
    return text.substring(from, at);
  }

  private static boolean isLetterOrDigit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  }

  /** Leaves spaces, ends of lines and comments out. */
  void skipSpace(String... comments) {
    while (!isAtEnd()) {
      if (Character.isWhitespace(text.charAt(at))) {
        at++;
      } else if (isComment(comments)) {
        int end = text.indexOf('\n', at);
        at = end < 0 ? text.length() : end;
      } else {
        return;
      }
    }
  }

  private boolean isComment(String... comments) {
    for (String comment : comments) {
      if (isNext(comment)) {
        return true;
      }
    }
    return false;
  }

  /** A decimal number, at most a billion. */
  int number(String where) {
    int from = at;
    long value = 0;
    while (!isAtEnd() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
      value = Math.min(1_000_000_000, 10 * value + text.charAt(at++) - '0');
    }
    if (at == from) {
      throw error("expected a number " + where);
    }
    return (int) value;
  }

  /** A literal from its first quote to the same mark again. */
  String quoted() {
    int from = at;
    char quote = text.charAt(at++);
    StringBuilder literal = new StringBuilder();
    while (true) {
      int c = character(from, "the literal is not closed");
      if (c == quote) {
        return literal.toString();
      }
      literal.appendCodePoint(c == '\\' ? escape() : c);
    }
  }

  /** What stands between a mark and the same mark again, as it is; a backslash keeps the next. */
  String between(char mark) {
    int from = at++;
    while (!isAtEnd() && text.charAt(at) != '\n') {
      char c = text.charAt(at++);
      if (c == mark) {
        return text.substring(from + 1, at - 1);
      }
      at += c == '\\' ? 1 : 0;
    }
    throw errorAt(from, "the pattern is not closed on its line");
  }

  /** A class from its bracket to the one that closes it. */
  CodePoints bracketed() {
    int from = at++;
    boolean isNegated = accept("^");
    List<CodePoints> members = new ArrayList<>();
    while (!accept("]")) {
      CodePoints first = member(from);
      boolean isRange = isNext("-") && !isNext("-]");
      if (isRange) {
        at++;
        CodePoints last = member(from);
        if (!first.isSingle() || !last.isSingle() || first.first(0) > last.first(0)) {
          throw errorAt(from, "a range in [] goes from a character to one that is not below it");
        }
        members.add(CodePoints.range(first.first(0), last.first(0)));
      } else {
        members.add(first);
      }
      if (members.size() > MEMBERS_MAX) {
        throw errorAt(from, "a class of more than " + MEMBERS_MAX + " members");
      }
    }
    if (members.isEmpty() && !isNegated) {
      throw errorAt(from, "expected a character in []; write \\] for the bracket itself");
    }
    CodePoints set = CodePoints.union(members);
    return isNegated ? set.not() : set;
  }

  private CodePoints member(int from) {
    int c = character(from, "[ is not closed");
    if (c != '\\') {
      return CodePoints.of(c);
    }
    CodePoints named =
        switch (peek()) {
          case 'd' -> CharacterClasses.DIGIT;
          case 'D' -> CharacterClasses.DIGIT.not();
          case 'w' -> CharacterClasses.WORD;
          case 'W' -> CharacterClasses.WORD.not();
          case 's' -> CharacterClasses.SPACE;
          case 'S' -> CharacterClasses.SPACE.not();
          default -> CodePoints.NONE;
        };
    if (!named.isEmpty()) {
      at++;
      return named;
    }
    return CodePoints.of(escape());
  }

  private int character(int from, String otherwise) {
    if (isAtEnd() || text.charAt(at) == '\n') {
      throw errorAt(from, otherwise + " on its line");
    }
    int c = text.codePointAt(at);
    if (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE) {
      throw error("half of a surrogate pair");
    }
    at += Character.charCount(c);
    return c;
  }

  /** Behind the backslash. */
  private int escape() {
    int c = character(at, "\\ has nothing behind it");
    return switch (c) {
      case 'n' -> '\n';
      case 't' -> '\t';
      case 'r' -> '\r';
      case 'b' -> '\b';
      case 'f' -> '\f';
      case 'v' -> 0x0b;
      case 'a' -> 0x07;
      case 'e' -> 0x1b;
      case '0' -> 0;
      case 'x' -> hex(2);
      case 'u' -> hex(4);
      case 'U' -> hex(8);
      default -> {
        if (c < 0x80 && isLetterOrDigit((char) c)) {
          throw errorAt(at - 2, "\\" + (char) c + " is not an escape");
        }
        yield c;
      }
    };
  }

  private int hex(int digits) {
    int from = at;
    long value = 0;
    for (int i = 0; i < digits; i++) {
      int digit = isAtEnd() ? -1 : Character.digit(text.charAt(at), 16);
      if (digit < 0) {
        throw error("expected " + digits + " hexadecimal digits");
      }
      value = value * 16 + digit;
      at++;
    }
    if (value > CodePoints.LAST
        || (value >= Character.MIN_SURROGATE && value <= Character.MAX_SURROGATE)) {
      throw errorAt(from, "expected a code point, at most 10ffff and no half of a pair");
    }
    return (int) value;
  }

  GrammarException error(String what) {
    return errorAt(at, what);
  }

  GrammarException errorAt(int position, String what) {
    int line = 1;
    int start = 0;
    for (int i = 0; i < position; i++) {
      if (text.charAt(i) == '\n') {
        line++;
        start = i + 1;
      }
    }
    String rest = text.substring(position, Math.min(text.length(), position + 20));
    String found = rest.lines().findFirst().orElse("");
    String shown = found.isEmpty() ? "the end of the " + (rest.isEmpty() ? "text" : "line") : found;
    return new GrammarException(
        "the grammar, line %d, column %d: %s, at %s"
            .formatted(line, position - start + 1, what, shown));
  }
}
