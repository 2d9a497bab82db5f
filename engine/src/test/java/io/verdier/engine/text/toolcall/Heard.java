package io.verdier.engine.text.toolcall;

import java.util.ArrayList;
import java.util.List;

/** What a parser said, with neighbours joined. Owned by the test. */
final class Heard implements ToolCallSink {
  final StringBuilder content = new StringBuilder();
  final List<String> names = new ArrayList<>();
  final List<StringBuilder> arguments = new ArrayList<>();
  final List<Boolean> complete = new ArrayList<>();
  private final StringBuilder order = new StringBuilder();

  static Heard whole(ToolCallFormat format, Tools tools, String text) {
    return of(format, tools, List.of(text));
  }

  static Heard of(ToolCallFormat format, Tools tools, List<String> pieces) {
    Heard heard = new Heard();
    ToolCallParser parser = format.parser(tools, heard);
    pieces.forEach(parser::append);
    parser.finish();
    return heard;
  }

  @Override
  public void content(CharSequence text) {
    content.append(text);
    if (!text.isEmpty() && (order.isEmpty() || order.charAt(order.length() - 1) != 't')) {
      order.append('t');
    }
  }

  @Override
  public void begin(int call, String name) {
    if (call != names.size() || complete.size() != call) {
      throw new IllegalStateException("call " + call + " begins out of turn");
    }
    names.add(name);
    arguments.add(new StringBuilder());
    order.append('c');
  }

  @Override
  public void arguments(int call, CharSequence part) {
    if (call != names.size() - 1 || complete.size() != call) {
      throw new IllegalStateException("arguments of call " + call + " out of turn");
    }
    arguments.get(call).append(part);
  }

  @Override
  public void end(int call, boolean isComplete) {
    if (call != complete.size()) {
      throw new IllegalStateException("call " + call + " ends out of turn");
    }
    complete.add(isComplete);
  }

  /** Content and calls in one line: {@code text | f{"a": 1} | g{…}!}, cut ones with a mark. */
  @Override
  public String toString() {
    StringBuilder line = new StringBuilder(content);
    for (int i = 0; i < names.size(); i++) {
      line.append(" | ").append(names.get(i)).append(arguments.get(i));
      line.append(complete.size() > i && complete.get(i) ? "" : "!");
    }
    return line.toString();
  }

  /** The same with the order in which text and calls came. */
  String inOrder() {
    return order + ": " + this;
  }
}
