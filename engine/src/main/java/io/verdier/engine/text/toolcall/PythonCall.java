package io.verdier.engine.text.toolcall;

/**
 * A call as Python writes it, {@code f(a=1, b="x")}, with literals as keyword arguments. Owned by
 * its parser.
 */
final class PythonCall implements CallReader {
  private enum State {
    NAME,
    /** A keyword, or the end. */
    KEYWORD_START,
    KEYWORD,
    EQUALS,
    VALUE,
    AFTER_VALUE
  }

  /** The rule for the names of calls; what it returns is declared, or empty. */
  interface Naming {
    String resolve(String written);
  }

  private final Naming naming;
  private final CallWriter out;
  private final StringBuilder held; // taken, and neither JSON nor content yet
  private final StringBuilder word = new StringBuilder();
  private final StringBuilder json = new StringBuilder();
  private PythonValue value;
  private State state = State.NAME;
  private String name = "";
  private boolean begun;
  private int arguments;

  PythonCall(Naming naming, CallWriter out, CharSequence before) {
    this.naming = naming;
    this.out = out;
    this.held = new StringBuilder(before);
    this.value = new PythonValue(json);
  }

  @Override
  public Status accept(char c) {
    boolean closes = false;
    boolean taken =
        switch (state) {
          case NAME -> name(c);
          case KEYWORD_START -> {
            closes = c == ')';
            yield closes || keywordStart(c);
          }
          case KEYWORD -> keyword(c);
          case EQUALS -> CallWriter.isBlank(c) || equalsSign(c);
          case VALUE -> {
            boolean more = value.accept(c);
            if (value.isDone()) {
              state = State.AFTER_VALUE;
              closes = !more && c == ')';
              more = more || closes || afterValue(c);
            }
            yield more;
          }
          case AFTER_VALUE -> {
            closes = c == ')';
            yield closes || afterValue(c);
          }
        };
    if (!taken) {
      return Status.REFUSED;
    }
    held.append(c);
    return closes ? close() : flush();
  }

  private Status close() {
    begin();
    json.append(arguments == 0 ? "{}" : "}");
    flush();
    out.end(true);
    return Status.CLOSED;
  }

  private Status flush() {
    if (begun && !json.isEmpty()) {
      out.arguments(json);
      json.setLength(0);
      held.setLength(0);
    }
    return Status.OPEN;
  }

  private void begin() {
    if (!begun) {
      begun = true;
      out.begin(name);
    }
  }

  @Override
  public void leave() {
    if (begun) {
      flush();
      out.end(false);
    }
  }

  /** All of it before the call begins; then what has not become JSON yet, half a word say. */
  @Override
  public CharSequence held() {
    boolean separators = held.chars().allMatch(c -> c == ',' || CallWriter.isBlank((char) c));
    return begun && separators ? "" : held;
  }

  private boolean name(char c) {
    if (c == '(') {
      name = naming.resolve(word.toString());
      word.setLength(0);
      state = State.KEYWORD_START;
      return !name.isEmpty();
    }
    word.append(c);
    return isNameChar(c) || c == '.';
  }

  private boolean keywordStart(char c) {
    if (CallWriter.isBlank(c)) {
      return true;
    }
    word.setLength(0);
    word.append(c);
    state = State.KEYWORD;
    return isNameChar(c);
  }

  private boolean keyword(char c) {
    if (isNameChar(c)) {
      word.append(c);
      return true;
    }
    state = State.EQUALS;
    return CallWriter.isBlank(c) || equalsSign(c);
  }

  private boolean equalsSign(char c) {
    if (c != '=') {
      return false;
    }
    begin();
    json.append(arguments++ == 0 ? "{" : ", ").append(JsonText.quoted(word)).append(": ");
    value = new PythonValue(json);
    state = State.VALUE;
    return true;
  }

  private boolean afterValue(char c) {
    if (c == ',') {
      state = State.KEYWORD_START;
      return true;
    }
    return CallWriter.isBlank(c);
  }

  static boolean isNameChar(char c) {
    return c == '_' || c == '-' || Character.isLetterOrDigit(c);
  }
}
