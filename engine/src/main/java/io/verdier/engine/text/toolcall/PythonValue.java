package io.verdier.engine.text.toolcall;

import java.math.BigInteger;

/**
 * One Python literal, written as JSON while it comes: strings, numbers, {@code True}, {@code
 * False}, {@code None}, lists, tuples and dictionaries with strings as keys. Owned by its call.
 */
final class PythonValue {
  private static final int DEPTH_MAX = 256;
  private static final int WORD_CHARS_MAX = 512;

  private enum State {
    VALUE,
    /** A value, or the end of the list. */
    ELEMENT,
    /** A key, or the end of the dictionary. */
    KEY,
    COLON,
    AFTER_VALUE,
    STRING,
    ESCAPE,
    NUMERIC_ESCAPE,
    WORD,
    DONE
  }

  private final StringBuilder json; // where it is written
  private final StringBuilder closers = new StringBuilder(); // of open containers
  private final StringBuilder word = new StringBuilder();
  private State state = State.VALUE;
  private boolean comma; // is due before the next element
  private boolean key;
  private char quote;
  private int code; // of a numeric escape
  private int codeRadix;
  private int codeLeft;

  PythonValue(StringBuilder json) {
    this.json = json;
  }

  /** The literal is complete. */
  boolean isDone() {
    return state == State.DONE;
  }

  /**
   * Takes the character if it may follow. A number or a word ends before the character that it does
   * not take.
   */
  boolean accept(char c) {
    return switch (state) {
      case VALUE -> CallWriter.isBlank(c) || value(c);
      case ELEMENT -> CallWriter.isBlank(c) || closes(c) || value(c);
      case KEY -> CallWriter.isBlank(c) || closes(c) || keyStart(c);
      case COLON -> CallWriter.isBlank(c) || colon(c);
      case AFTER_VALUE -> CallWriter.isBlank(c) || closes(c) || next(c);
      case STRING -> string(c);
      case ESCAPE -> escape(c);
      case NUMERIC_ESCAPE -> numericEscape(c);
      case WORD -> word(c);
      case DONE -> false;
    };
  }

  private boolean go(State next) {
    state = next;
    return true;
  }

  private boolean value(char c) {
    if (c == '[' || c == '(' || c == '{') {
      return open(c);
    }
    if (c == '"' || c == '\'') {
      separate();
      return stringStart(c, false);
    }
    word.setLength(0);
    if (!isWordChar(c)) {
      return false;
    }
    word.append(c);
    return go(State.WORD);
  }

  private boolean open(char c) {
    if (closers.length() == DEPTH_MAX) {
      return false;
    }
    separate();
    closers.append(c == '[' ? ']' : c == '(' ? ')' : '}');
    json.append(c == '{' ? '{' : '[');
    return go(c == '{' ? State.KEY : State.ELEMENT);
  }

  private void separate() {
    if (comma) {
      json.append(", ");
      comma = false;
    }
  }

  private boolean closes(char c) {
    int top = closers.length() - 1;
    if (top < 0 || closers.charAt(top) != c) {
      return false;
    }
    closers.setLength(top);
    comma = false;
    json.append(c == '}' ? '}' : ']');
    return endValue();
  }

  private boolean endValue() {
    return go(closers.isEmpty() ? State.DONE : State.AFTER_VALUE);
  }

  private boolean next(char c) {
    comma = true;
    return c == ',' && go(closers.charAt(closers.length() - 1) == '}' ? State.KEY : State.ELEMENT);
  }

  private boolean keyStart(char c) {
    if (c != '"' && c != '\'') {
      return false;
    }
    separate();
    return stringStart(c, true);
  }

  private boolean colon(char c) {
    json.append(": ");
    return c == ':' && go(State.VALUE);
  }

  private boolean stringStart(char c, boolean isKey) {
    quote = c;
    key = isKey;
    json.append('"');
    return go(State.STRING);
  }

  private boolean string(char c) {
    if (c == '\\') {
      return go(State.ESCAPE);
    }
    if (c == quote) {
      json.append('"');
      return key ? go(State.COLON) : endValue();
    }
    JsonText.escape(c, false, json);
    return true; // a line break too, which Python would refuse and models write
  }

  private boolean escape(char c) {
    int simple = "abfnrtv".indexOf(c);
    int longer = "xuU".indexOf(c);
    int octal = Character.digit(c, 8);
    if (simple >= 0) {
      write("\u0007\b\f\n\r\t\u000b".charAt(simple));
    } else if (longer >= 0) {
      return numericEscapeStart(0, 16, 2 << longer);
    } else if (c < 0x80 && octal >= 0) {
      return numericEscapeStart(octal, 8, 2);
    } else if (c != '\n') {
      if ("\\'\"".indexOf(c) < 0) {
        json.append("\\\\"); // Python keeps a backslash that means nothing
      }
      write(c);
    }
    return go(State.STRING);
  }

  private boolean numericEscapeStart(int first, int radix, int left) {
    code = first;
    codeRadix = radix;
    codeLeft = left;
    return go(State.NUMERIC_ESCAPE);
  }

  private boolean numericEscape(char c) {
    int digit = c < 0x80 ? Character.digit(c, codeRadix) : -1;
    if (digit < 0) {
      // an octal one may be shorter, a hexadecimal one may not
      return codeRadix == 8 && endNumericEscape() && string(c);
    }
    code = code * codeRadix + digit;
    codeLeft--;
    return codeLeft > 0 || endNumericEscape();
  }

  private boolean endNumericEscape() {
    if (!Character.isValidCodePoint(code)) {
      return false;
    }
    for (char c : Character.toChars(code)) {
      write(c);
    }
    return go(State.STRING);
  }

  private void write(char c) {
    JsonText.escape(c, true, json);
  }

  private boolean word(char c) {
    if (isWordChar(c)) {
      word.append(c);
      return word.length() <= WORD_CHARS_MAX;
    }
    String written = written(word.toString());
    if (!JsonScanner.isValue(written)) {
      return false;
    }
    separate();
    json.append(written);
    endValue();
    return accept(c);
  }

  private static boolean isWordChar(char c) {
    return c < 0x80 && (Character.isLetterOrDigit(c) || "+-._".indexOf(c) >= 0);
  }

  /** A word as JSON, or anything that is none. */
  private static String written(String word) {
    return switch (word) {
      case "True" -> "true";
      case "False" -> "false";
      case "None" -> "null";
      default -> number(word);
    };
  }

  private static String number(String word) {
    String plain = word.replace("_", "");
    boolean negative = plain.startsWith("-");
    String digits = negative || plain.startsWith("+") ? plain.substring(1) : plain;
    if (digits.startsWith("0x") && digits.substring(2).chars().allMatch(PythonValue::isHex)) {
      digits = digits.length() == 2 ? "" : new BigInteger(digits.substring(2), 16).toString();
    }
    if (digits.startsWith(".")) {
      digits = "0" + digits;
    }
    if (digits.endsWith(".")) {
      digits = digits + "0";
    }
    boolean number = !digits.isEmpty() && Character.digit(digits.charAt(0), 10) >= 0;
    return number ? (negative ? "-" : "") + digits : word;
  }

  private static boolean isHex(int c) {
    return Character.digit(c, 16) >= 0;
  }
}
