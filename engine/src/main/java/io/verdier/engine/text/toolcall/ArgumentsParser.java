package io.verdier.engine.text.toolcall;

/**
 * The arguments of the only function that there is: an answer that had to call it. Owned as {@link
 * ToolCallParser} says.
 */
final class ArgumentsParser extends MarkedParser {
  private final StringBuilder blanks = new StringBuilder(); // before the arguments
  private boolean past;

  ArgumentsParser(Tools tools, ToolCallSink sink) {
    super(tools, sink);
  }

  @Override
  void between(char c) {
    String name = tools.only().orElse("");
    if (past) {
      out.content(String.valueOf(c));
    } else if (c == '{' && !name.isEmpty()) {
      past = true;
      read(new NamedCall(tools, out, blanks, name), c);
    } else {
      blanks.append(c);
      if (!CallWriter.isBlank(c)) {
        past = true;
        out.content(blanks);
      }
    }
  }

  @Override
  void finishBetween() {
    if (!past) {
      out.content(blanks);
    }
  }

  @Override
  void onClosed() {
    // whatever comes is content
  }

  @Override
  void onRefused(CallReader call) {
    out.content(call.held());
  }
}
