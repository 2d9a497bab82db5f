package io.verdier.engine.text.toolcall;

import io.verdier.engine.text.MarkerFinder;
import java.util.List;
import java.util.stream.Stream;

/**
 * Calls as JSON behind a marker, or at the beginning of the text where there are no markers: one
 * object, several, or an array of them.
 *
 * <pre>
 *   Sure. &lt;tool_call&gt; [ {"name": …} , {"name": …} ] &lt;/tool_call&gt;
 *   TEXT  opener      HEAD           AFTER            closer
 * </pre>
 */
final class JsonRegions extends MarkedParser {
  private enum State {
    TEXT,
    /** Behind an opener. */
    HEAD,
    /** Behind a call. */
    AFTER
  }

  private final List<String> markers; // openers, then closers
  private final int openers;
  private final MarkerFinder finder;
  private final StringBuilder gap = new StringBuilder(); // markers and separators, not decided yet
  private State state;
  private boolean array;
  private boolean closable; // a call came since the last opener

  JsonRegions(Tools tools, ToolCallSink sink, List<String> openers, List<String> closers) {
    super(tools, sink);
    this.openers = openers.size();
    this.markers = Stream.concat(openers.stream(), closers.stream()).toList();
    this.finder = new MarkerFinder(markers);
    this.state = openers.isEmpty() ? State.HEAD : State.TEXT;
  }

  @Override
  void between(char c) {
    if (state == State.TEXT) {
      text(c);
    } else if (c == '{') {
      JsonCall call = new JsonCall(tools, out, gap, true);
      gap.setLength(0);
      read(call, c);
    } else if (CallWriter.isBlank(c) || (state == State.AFTER && (c == ',' || c == ';'))) {
      gap.append(c);
    } else if (state == State.HEAD && c == '[' && !array) {
      array = true;
      gap.append(c);
    } else if (state == State.AFTER && c == ']' && array) {
      array = false;
      gap.append(c);
      endArray();
    } else {
      out.content(gap);
      toText();
      text(c);
    }
  }

  private void text(char c) {
    int found = finder.accept(c, out::content);
    if (found == MarkerFinder.NONE) {
      return;
    }
    if (found < openers) {
      state = State.HEAD;
      array = false;
      closable = false;
      gap.append(markers.get(found));
    } else if (closable) {
      closable = false;
    } else {
      out.content(markers.get(found));
    }
  }

  private void toText() {
    gap.setLength(0);
    array = false;
    state = State.TEXT;
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
    if (state == State.HEAD || !out.isBehindCall()) {
      out.content(gap);
    }
  }

  @Override
  void onClosed() {
    state = State.AFTER;
    closable = out.isBehindCall();
  }

  @Override
  void onRefused(CallReader call) {
    out.content(call.held());
    if (out.isBehindCall()) {
      onClosed();
    } else {
      toText();
    }
  }
}
