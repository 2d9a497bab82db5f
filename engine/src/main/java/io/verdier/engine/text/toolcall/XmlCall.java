package io.verdier.engine.text.toolcall;

import io.verdier.engine.text.MarkerFinder;
import java.util.List;
import java.util.Locale;

/**
 * One {@code <function=f>} of {@link QwenXmlParser}, behind its opening tag. Owned by its parser.
 */
final class XmlCall implements CallReader {
  static final int NAME_CHARS_MAX = 256;

  private static final int PARAMETER = 0;
  private static final int FUNCTION_END = 2; // and 1 ends a parameter
  private static final List<String> MARKERS = List.of("<parameter=", "</parameter>", "</function>");

  private enum State {
    BETWEEN,
    KEY,
    VALUE
  }

  private final Tools tools;
  private final CallWriter out;
  private final String name;
  private final MarkerFinder finder = new MarkerFinder(MARKERS);
  private final StringBuilder held;
  private final StringBuilder key = new StringBuilder();
  private final StringBuilder value = new StringBuilder(); // what is not written yet of it
  private final StringBuilder json = new StringBuilder();
  private State state = State.BETWEEN;
  private boolean begun;
  private boolean string;
  private boolean valueBegun;
  private int parameters;

  XmlCall(Tools tools, CallWriter out, CharSequence before, String name) {
    this.tools = tools;
    this.out = out;
    this.held = new StringBuilder(before);
    this.name = name;
  }

  @Override
  public Status accept(char c) {
    return switch (state) {
      case BETWEEN -> between(c);
      case KEY -> key(c);
      case VALUE -> value(c);
    };
  }

  private Status between(char c) {
    if (!finder.isHolding() && !CallWriter.isBlank(c) && c != '<') {
      return Status.REFUSED; // only tags stand here
    }
    held.append(c);
    int found = finder.accept(c, rest -> {});
    if (found == PARAMETER) {
      key.setLength(0);
      state = State.KEY;
    } else if (found == FUNCTION_END) {
      return close();
    } else if (found == MarkerFinder.NONE && !finder.isHolding() && !CallWriter.isBlank(c)) {
      held.setLength(held.length() - 1);
      return Status.REFUSED;
    }
    return Status.OPEN;
  }

  private Status key(char c) {
    if (c == '<' || c == '\n' || key.length() > NAME_CHARS_MAX) {
      return Status.REFUSED;
    }
    held.append(c);
    if (c != '>') {
      key.append(c);
      return Status.OPEN;
    }
    String parameter = key.toString().strip();
    begin();
    json.append(parameters++ == 0 ? "{" : ", ").append(JsonText.quoted(parameter)).append(": ");
    string = tools.isString(name, parameter);
    if (string) {
      json.append('"');
    }
    valueBegun = false;
    value.setLength(0);
    state = State.VALUE;
    return flush();
  }

  private Status value(char c) {
    int found = finder.accept(c, this::valueText);
    if (found == MarkerFinder.NONE) {
      return flush();
    }
    endValue();
    state = State.BETWEEN;
    if (found == PARAMETER) {
      key.setLength(0);
      state = State.KEY;
    } else if (found == FUNCTION_END) {
      return close();
    }
    return flush();
  }

  private void valueText(CharSequence text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean formal = !valueBegun && c == '\n';
      valueBegun = true;
      if (formal) {
        continue;
      }
      if (string && !value.isEmpty()) { // a line break that turned out not to be the last
        JsonText.escape('\n', false, json);
        value.setLength(0);
      }
      if (string && c != '\n') {
        JsonText.escape(c, false, json);
      } else {
        value.append(c);
      }
    }
  }

  private void endValue() {
    if (string) {
      json.append('"');
    } else {
      String text = value.toString().strip();
      json.append(asJson(text));
    }
    value.setLength(0);
  }

  /** A value of another type than string as JSON; what is none becomes a string. */
  private static String asJson(String text) {
    if (JsonScanner.isValue(text) && !text.isEmpty()) {
      return text;
    }
    String lower = text.toLowerCase(Locale.ROOT);
    return switch (lower) {
      case "true", "false", "null" -> lower;
      case "none" -> "null";
      default -> pythonic(text);
    };
  }

  /** Some models write lists and dictionaries as Python does. */
  private static String pythonic(String text) {
    StringBuilder json = new StringBuilder();
    PythonValue literal = new PythonValue(json);
    int at = 0;
    while (at < text.length() && literal.accept(text.charAt(at))) {
      at++;
    }
    boolean whole = at == text.length() && literal.isDone();
    return whole ? json.toString() : JsonText.quoted(text);
  }

  private Status close() {
    begin();
    json.append(parameters == 0 ? "{}" : "}");
    flush();
    out.end(true);
    return Status.CLOSED;
  }

  private void begin() {
    if (!begun) {
      begun = true;
      out.begin(name);
    }
  }

  private Status flush() {
    if (begun && !json.isEmpty()) {
      out.arguments(json);
      json.setLength(0);
      held.setLength(0);
    }
    return Status.OPEN;
  }

  @Override
  public void leave() {
    if (!begun) {
      return;
    }
    if (state == State.VALUE) {
      finder.finish(this::valueText);
      json.append(string ? "" : value); // of a string, only a line break can be left
    }
    flush();
    out.end(false);
  }

  /** All of it before the call begins; then what has not become JSON yet. */
  @Override
  public CharSequence held() {
    return begun && held.toString().isBlank() ? "" : held;
  }
}
