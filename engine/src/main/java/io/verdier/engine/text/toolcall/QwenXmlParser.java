package io.verdier.engine.text.toolcall;

import io.verdier.engine.text.MarkerFinder;
import java.util.List;

/**
 * Qwen3-Coder's calls. Owned as {@link ToolCallParser} says.
 *
 * <pre>
 *   &lt;tool_call&gt;
 *   &lt;function=f&gt;
 *   &lt;parameter=city&gt;
 *   Paris
 *   &lt;/parameter&gt;
 *   &lt;/function&gt;
 *   &lt;/tool_call&gt;
 * </pre>
 *
 * <p>Values are plain text; the tool's schema says which of them are strings. One line break after
 * the opening and one before the closing of a parameter belong to the form.
 */
final class QwenXmlParser extends MarkedParser {
  private static final String CALL = "<tool_call>";
  private static final String CALL_END = "</tool_call>";
  private static final String FUNCTION = "<function=";

  private enum State {
    TEXT,
    OPENED,
    NAME
  }

  private final MarkerFinder finder = new MarkerFinder(List.of(CALL, FUNCTION, CALL_END));
  private final StringBuilder gap = new StringBuilder(); // not decided yet
  private final StringBuilder name = new StringBuilder();
  private State state = State.TEXT;
  private boolean closable;

  QwenXmlParser(Tools tools, ToolCallSink sink) {
    super(tools, sink);
  }

  @Override
  void between(char c) {
    if (state == State.NAME) {
      name(c);
    } else if (state == State.OPENED && CallWriter.isBlank(c) && !finder.isHolding()) {
      gap.append(c);
    } else {
      switch (finder.accept(c, this::foreign)) {
        case 0 -> {
          out.content(takeGap());
          gap.append(CALL);
          state = State.OPENED;
        }
        case 1 -> {
          gap.append(FUNCTION);
          name.setLength(0);
          state = State.NAME;
        }
        case 2 -> {
          if (closable) {
            closable = false;
          } else {
            foreign(CALL_END);
          }
        }
        default -> {
          // no marker, or not yet
        }
      }
    }
  }

  private void foreign(CharSequence text) {
    out.content(takeGap());
    out.content(text);
    state = State.TEXT;
  }

  private void name(char c) {
    if (c == '>') {
      gap.append(c);
      String called = name.toString().strip();
      state = State.TEXT;
      if (tools.declares(called)) {
        read(new XmlCall(tools, out, takeGap(), called));
      } else {
        foreign("");
      }
    } else if (c == '<' || c == '\n' || name.length() > XmlCall.NAME_CHARS_MAX) {
      foreign("");
      between(c);
    } else {
      gap.append(c);
      name.append(c);
    }
  }

  private String takeGap() {
    String taken = gap.toString();
    gap.setLength(0);
    return taken;
  }

  @Override
  void finishBetween() {
    out.content(takeGap());
    finder.finish(out::content);
  }

  @Override
  void onClosed() {
    closable = true;
  }

  @Override
  void onRefused(CallReader call) {
    out.content(call.held());
  }
}
