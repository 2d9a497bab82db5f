package io.verdier.engine.text.toolcall;

/**
 * Between a parser and its sink: numbers the calls, and drops the blanks before, between and after
 * them, which models put there for looks. Blanks of a text without calls stay. Owned by its parser.
 */
final class CallWriter {
  private final ToolCallSink sink;
  private final StringBuilder blanks = new StringBuilder(); // at the start, or behind a call
  private boolean blanksHeld = true;
  private int calls;

  CallWriter(ToolCallSink sink) {
    this.sink = sink;
  }

  static boolean isBlank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
  }

  void content(CharSequence text) {
    int from = 0;
    while (blanksHeld && from < text.length()) {
      char c = text.charAt(from);
      if (isBlank(c)) {
        blanks.append(c);
        from++;
      } else {
        sink.content(blanks);
        blanks.setLength(0);
        blanksHeld = false;
      }
    }
    if (from < text.length()) {
      sink.content(text.subSequence(from, text.length()));
    }
  }

  /** Whether nothing but blanks has come so far. */
  boolean isAtStart() {
    return blanksHeld && calls == 0;
  }

  /** Whether nothing but blanks has come since a call. */
  boolean isBehindCall() {
    return blanksHeld && calls > 0;
  }

  void begin(String name) {
    blanks.setLength(0);
    blanksHeld = true;
    sink.begin(calls++, name);
  }

  void arguments(CharSequence part) {
    sink.arguments(calls - 1, part);
  }

  void end(boolean complete) {
    sink.end(calls - 1, complete);
  }

  void finish() {
    if (calls == 0) {
      sink.content(blanks);
    }
  }
}
