package io.verdier.engine.text.toolcall;

import java.util.BitSet;

/**
 * Says of each character whether it may follow in a JSON value (RFC 8259). Owned by its parser.
 *
 * <p>A scanner and no parser: arguments are passed on as the model spells them, and a text that
 * comes in pieces cannot wait for a parser to have all of it.
 */
final class JsonScanner {
  /** A model that nests deeper is no longer calling anything. */
  private static final int DEPTH_MAX = 256;

  private enum State {
    VALUE,
    FIRST_VALUE,
    FIRST_KEY,
    KEY,
    COLON,
    AFTER_VALUE,
    STRING,
    ESCAPE,
    HEX,
    WORD,
    MINUS,
    ZERO,
    INTEGER,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    DONE
  }

  private final BitSet objects = new BitSet(); // which open containers are objects
  private State state = State.VALUE;
  private boolean key; // the string being read is one
  private int depth;
  private int hexLeft;
  private String word = "";
  private int wordAt;

  /** Takes the character if it may follow; otherwise nothing changes. */
  boolean accept(char c) {
    return switch (state) {
      case VALUE -> isBlank(c) || value(c);
      case FIRST_VALUE -> c == ']' ? close() : isBlank(c) || value(c);
      case FIRST_KEY -> c == '}' ? close() : isBlank(c) || keyStart(c);
      case KEY -> isBlank(c) || keyStart(c);
      case COLON -> isBlank(c) || (c == ':' && go(State.VALUE));
      case AFTER_VALUE -> isBlank(c) || afterValue(c);
      case STRING -> string(c);
      case ESCAPE -> escape(c);
      case HEX -> hex(c);
      case WORD -> word(c);
      case MINUS -> digit(c, State.ZERO, State.INTEGER);
      case ZERO -> fraction(c) || numberEnd(c);
      case INTEGER -> isDigit(c) || fraction(c) || numberEnd(c);
      case POINT -> digit(c, State.FRACTION, State.FRACTION);
      case FRACTION -> isDigit(c) || exponent(c) || numberEnd(c);
      case EXPONENT ->
          ((c == '+' || c == '-') && go(State.EXPONENT_SIGN))
              || digit(c, State.EXPONENT_DIGITS, State.EXPONENT_DIGITS);
      case EXPONENT_SIGN -> digit(c, State.EXPONENT_DIGITS, State.EXPONENT_DIGITS);
      case EXPONENT_DIGITS -> isDigit(c) || numberEnd(c);
      case DONE -> false;
    };
  }

  /** Open objects and arrays. */
  int depth() {
    return depth;
  }

  /** Whether an object or array that was the whole value has closed, or a string or word ended. */
  boolean isDone() {
    return state == State.DONE;
  }

  /** Whether a value must come next: behind a colon, say. */
  boolean awaitsValue() {
    return state == State.VALUE;
  }

  /** Whether the characters of a string are being read. */
  boolean isInString() {
    return state == State.STRING || state == State.ESCAPE || state == State.HEX;
  }

  /** Whether the string being read, or read last, is a key. */
  boolean isKey() {
    return key;
  }

  /** Whether a text is one JSON value and nothing else but blanks around it. */
  static boolean isValue(CharSequence text) {
    JsonScanner scanner = new JsonScanner();
    int at = 0;
    while (at < text.length() && !scanner.isDone() && scanner.accept(text.charAt(at))) {
      at++;
    }
    while (scanner.isDone() && at < text.length() && isBlank(text.charAt(at))) {
      at++;
    }
    return at == text.length() && (scanner.isDone() || scanner.isNumberDone());
  }

  private boolean isNumberDone() {
    return depth == 0
        && (state == State.ZERO
            || state == State.INTEGER
            || state == State.FRACTION
            || state == State.EXPONENT_DIGITS);
  }

  private static boolean isBlank(char c) {
    return CallWriter.isBlank(c);
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private boolean go(State next) {
    state = next;
    return true;
  }

  private boolean value(char c) {
    return switch (c) {
      case '{' -> open(true);
      case '[' -> open(false);
      case '"' -> {
        key = false;
        yield go(State.STRING);
      }
      case '-' -> go(State.MINUS);
      case 't' -> startWord("true");
      case 'f' -> startWord("false");
      case 'n' -> startWord("null");
      default -> digit(c, State.ZERO, State.INTEGER);
    };
  }

  private boolean open(boolean object) {
    if (depth == DEPTH_MAX) {
      return false;
    }
    objects.set(depth++, object);
    return go(object ? State.FIRST_KEY : State.FIRST_VALUE);
  }

  private boolean close() {
    depth--;
    return endValue();
  }

  private boolean endValue() {
    return go(depth == 0 ? State.DONE : State.AFTER_VALUE);
  }

  private boolean keyStart(char c) {
    if (c != '"') {
      return false;
    }
    key = true;
    return go(State.STRING);
  }

  private boolean afterValue(char c) {
    boolean object = objects.get(depth - 1);
    if (c == ',') {
      return go(object ? State.KEY : State.VALUE);
    }
    return c == (object ? '}' : ']') && close();
  }

  private boolean string(char c) {
    if (c == '"') {
      return key ? go(State.COLON) : endValue();
    }
    if (c == '\\') {
      return go(State.ESCAPE);
    }
    return c >= 0x20;
  }

  private boolean escape(char c) {
    if (c == 'u') {
      hexLeft = 4;
      return go(State.HEX);
    }
    return "\"\\/bfnrt".indexOf(c) >= 0 && go(State.STRING);
  }

  private boolean hex(char c) {
    if (c > 'f' || Character.digit(c, 16) < 0) {
      return false;
    }
    hexLeft--;
    return hexLeft > 0 || go(State.STRING);
  }

  private boolean startWord(String next) {
    word = next;
    wordAt = 1;
    return go(State.WORD);
  }

  private boolean word(char c) {
    if (c != word.charAt(wordAt)) {
      return false;
    }
    wordAt++;
    return wordAt < word.length() || endValue();
  }

  private boolean digit(char c, State zero, State other) {
    return isDigit(c) && go(c == '0' ? zero : other);
  }

  private boolean fraction(char c) {
    return (c == '.' && go(State.POINT)) || exponent(c);
  }

  private boolean exponent(char c) {
    return (c == 'e' || c == 'E') && go(State.EXPONENT);
  }

  /** A number ends with the character behind it. */
  private boolean numberEnd(char c) {
    if (depth == 0) {
      return isBlank(c) && endValue();
    }
    return isBlank(c) ? endValue() : afterValue(c);
  }
}
