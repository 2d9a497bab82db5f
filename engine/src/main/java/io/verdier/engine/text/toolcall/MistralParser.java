package io.verdier.engine.text.toolcall;

import io.verdier.engine.text.MarkerFinder;
import java.util.List;

/**
 * Mistral's calls. Older models write an array, {@code [TOOL_CALLS] [{"name": …}, …]}; newer ones a
 * marker and a name a call, {@code [TOOL_CALLS]f[ARGS]{…}}, some with {@code [CALL_ID]…} behind the
 * name. Owned as {@link ToolCallParser} says.
 */
final class MistralParser extends MarkedParser {
  static final String CALLS = "[TOOL_CALLS]";
  static final String ARGUMENTS = "[ARGS]";
  static final String CALL_ID = "[CALL_ID]";
  private static final int HEAD_CHARS_MAX = 512;

  private enum State {
    TEXT,
    HEAD,
    NAME,
    AFTER
  }

  private final MarkerFinder finder = new MarkerFinder(List.of(CALLS));
  private final StringBuilder gap = new StringBuilder(); // not decided yet
  private final StringBuilder head = new StringBuilder(); // between marker and arguments
  private State state = State.TEXT;
  private boolean array;

  MistralParser(Tools tools, ToolCallSink sink) {
    super(tools, sink);
  }

  @Override
  void between(char c) {
    switch (state) {
      case TEXT -> text(c);
      case HEAD -> head(c);
      case NAME -> name(c);
      case AFTER -> after(c);
    }
  }

  private void text(char c) {
    if (finder.accept(c, out::content) != MarkerFinder.NONE) {
      gap.append(CALLS);
      array = false;
      state = State.HEAD;
    }
  }

  private void head(char c) {
    if (CallWriter.isBlank(c)) {
      gap.append(c);
    } else if (c == '{') {
      read(new JsonCall(tools, out, takeGap(), true), c);
    } else if (c == '[' && !array) {
      array = true;
      gap.append(c);
    } else if (PythonCall.isNameChar(c) && !array) {
      state = State.NAME;
      head.setLength(0);
      name(c);
    } else {
      giveUp(c);
    }
  }

  private void name(char c) {
    if (c == '{') {
      read(new NamedCall(tools, out, takeGap(), named()), c);
    } else if (head.length() < HEAD_CHARS_MAX
        && (PythonCall.isNameChar(c) || "[]. ".indexOf(c) >= 0)) {
      gap.append(c);
      head.append(c);
    } else {
      giveUp(c);
    }
  }

  private String named() {
    int end = head.indexOf(CALL_ID);
    int other = head.indexOf(ARGUMENTS);
    end = end < 0 ? other : end;
    return (end < 0 ? head.toString() : head.substring(0, end)).strip();
  }

  private void after(char c) {
    if (CallWriter.isBlank(c) || c == ',' || c == ';') {
      gap.append(c);
    } else if (c == '{') {
      read(new JsonCall(tools, out, takeGap(), true), c);
    } else if (c == ']' && array) {
      array = false;
      gap.append(c);
      endArray();
    } else {
      giveUp(c);
    }
  }

  private String takeGap() {
    String taken = gap.toString();
    gap.setLength(0);
    return taken;
  }

  private void giveUp(char c) {
    out.content(takeGap());
    state = State.TEXT;
    text(c);
  }

  /** The bracket belongs to the calls, or to what was none. */
  private void endArray() {
    if (!out.isBehindCall()) {
      out.content(gap);
    }
    gap.setLength(0);
  }

  @Override
  void finishBetween() {
    finder.finish(out::content);
    if (state != State.AFTER || !out.isBehindCall()) {
      out.content(gap);
    }
  }

  @Override
  void onClosed() {
    state = State.AFTER;
  }

  @Override
  void onRefused(CallReader call) {
    out.content(call.held());
    state = out.isBehindCall() ? State.AFTER : State.TEXT;
  }
}
