package io.verdier.engine.text.toolcall;

import io.verdier.engine.text.MarkerFinder;
import java.util.List;
import java.util.Set;

/**
 * What Llama 3 and 4 write: JSON objects without any marker, one after another or in an array;
 * lists of Python calls; {@code <function=f>{…}</function>}; and behind {@code <|python_tag|>} any
 * of these, a call of a built-in tool, or code.
 *
 * <p>One parser for all of them, because one model writes all of them: which one depends on its
 * size and on the system prompt. Objects are looked for everywhere, lists only at the beginning.
 */
final class LlamaParser extends MarkedParser {
  /** Which forms count. */
  enum Dialect {
    ALL,
    /** Lists of Python calls only. */
    PYTHONIC
  }

  private static final String FUNCTION = "<function=";
  private static final String FUNCTION_END = "</function>";
  private static final List<String> TAGS = List.of("<|python_tag|>", "<|python_start|>");
  private static final String TAG_END = "<|python_end|>";

  /** Tools that Llama 3.1 knows by itself; a request need not declare them. */
  private static final Set<String> BUILT_IN = Set.of("brave_search", "wolfram_alpha");

  private static final String BUILT_IN_SUFFIX = ".call";
  private static final int NAME_CHARS_MAX = 256;

  private enum State {
    TEXT,
    TAGGED,
    BRACKET,
    FUNCTION_NAME,
    FUNCTION_OPEN,
    AFTER
  }

  private final boolean json;
  private final List<String> markers;
  private final MarkerFinder finder;
  private final StringBuilder gap = new StringBuilder(); // not decided yet
  private final StringBuilder name = new StringBuilder();
  private State state = State.TEXT;
  private boolean array;
  private boolean tagged;
  private boolean closable;

  LlamaParser(Tools tools, ToolCallSink sink, Dialect dialect) {
    super(tools, sink);
    this.json = dialect == Dialect.ALL;
    this.markers =
        json
            ? List.of(TAGS.get(0), TAGS.get(1), TAG_END, FUNCTION, FUNCTION_END)
            : List.of(TAGS.get(0), TAGS.get(1), TAG_END);
    this.finder = new MarkerFinder(markers);
  }

  @Override
  void between(char c) {
    switch (state) {
      case TEXT -> text(c);
      case TAGGED -> tagged(c);
      case BRACKET -> bracket(c);
      case FUNCTION_NAME -> functionName(c);
      case FUNCTION_OPEN -> functionOpen(c);
      case AFTER -> after(c);
    }
  }

  private void text(char c) {
    if (c == '{' && json) {
      finder.finish(out::content); // no marker has a bracket
      readObject(c);
    } else if (!finder.isHolding() && c == '[' && out.isAtStart()) {
      gap.append(c);
      state = State.BRACKET;
    } else {
      int found = finder.accept(c, out::content);
      if (found != MarkerFinder.NONE) {
        onMarker(markers.get(found));
      }
    }
  }

  private void onMarker(String marker) {
    if (TAGS.contains(marker)) {
      gap.append(marker);
      tagged = true;
      state = State.TAGGED;
    } else if (marker.equals(FUNCTION)) {
      gap.append(marker);
      name.setLength(0);
      state = State.FUNCTION_NAME;
    } else if (closable) {
      closable = false;
    } else {
      out.content(marker);
    }
  }

  private void tagged(char c) {
    if (CallWriter.isBlank(c)) {
      gap.append(c);
    } else if (c == '{' && json) {
      readObject(c);
    } else if (c == '[') {
      gap.append(c);
      state = State.BRACKET;
    } else if (json) {
      state = State.TEXT;
      read(new PythonCall(this::builtInOrDeclared, out, takeGap()), c);
    } else {
      giveUp(c);
    }
  }

  private void bracket(char c) {
    if (CallWriter.isBlank(c)) {
      gap.append(c);
    } else if (c == '{' && json) {
      array = true;
      readObject(c);
    } else {
      state = State.TEXT;
      read(new PythonList(this::declared, out, takeGap()), c);
    }
  }

  private void functionName(char c) {
    gap.append(c);
    if (c == '>') {
      state = State.FUNCTION_OPEN;
    } else if (PythonCall.isNameChar(c) && name.length() < NAME_CHARS_MAX) {
      name.append(c);
    } else {
      gap.setLength(gap.length() - 1);
      giveUp(c);
    }
  }

  private void functionOpen(char c) {
    if (CallWriter.isBlank(c)) {
      gap.append(c);
    } else if (c == '{') {
      state = State.TEXT;
      read(new NamedCall(tools, out, takeGap(), name.toString()), c);
    } else {
      giveUp(c);
    }
  }

  private void after(char c) {
    if (CallWriter.isBlank(c) || c == ',' || c == ';') {
      gap.append(c);
    } else if (c == '{' && json) {
      readObject(c);
    } else if (c == ']' && array) {
      array = false;
      gap.append(c);
      endArray();
    } else {
      giveUp(c);
    }
  }

  private void readObject(char c) {
    state = State.TEXT;
    read(new JsonCall(tools, out, takeGap(), false), c);
  }

  private String takeGap() {
    String taken = gap.toString();
    gap.setLength(0);
    return taken;
  }

  /** What is kept is content. */
  private void giveUp(char c) {
    out.content(takeGap());
    array = false;
    tagged = false;
    state = State.TEXT;
    text(c);
  }

  private String declared(String written) {
    return tools.declares(written) ? written : "";
  }

  private String builtInOrDeclared(String written) {
    if (written.endsWith(BUILT_IN_SUFFIX)) {
      String base = written.substring(0, written.length() - BUILT_IN_SUFFIX.length());
      return BUILT_IN.contains(base) ? base : declared(base);
    }
    return declared(written);
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
    closable = out.isBehindCall();
    tagged = false;
  }

  @Override
  void onRefused(CallReader call) {
    boolean code = isCode(call);
    state = State.TEXT;
    if (code) {
      read(new CodeCall(out, withoutTag(call.held().toString())));
      return;
    }
    out.content(call.held());
    if (out.isBehindCall()) {
      onClosed();
    } else {
      array = false;
      tagged = false;
    }
  }

  @Override
  void onCut(CallReader call) {
    if (isCode(call)) {
      new CodeCall(out, withoutTag(call.held().toString())).leave();
    } else {
      out.content(call.held());
    }
  }

  /** Whether what was no call behind a tag is code for a tool that the request declares. */
  private boolean isCode(CallReader call) {
    return tagged
        && call instanceof PythonCall
        && !out.isBehindCall()
        && tools.declares(CodeCall.NAME);
  }

  private static String withoutTag(String held) {
    String tag = TAGS.stream().filter(held::startsWith).findFirst().orElse("");
    return held.substring(tag.length()).stripLeading();
  }
}
