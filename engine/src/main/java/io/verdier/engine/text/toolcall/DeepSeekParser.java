package io.verdier.engine.text.toolcall;

import io.verdier.engine.text.MarkerFinder;
import java.util.List;

/**
 * DeepSeek's calls, those of V3 and R1 and the shorter ones of V3.1. Owned as {@link
 * ToolCallParser} says.
 *
 * <pre>
 *   CALLS_BEGIN CALL_BEGIN function SEPARATOR f \n ```json \n {…} \n ``` CALL_END … CALLS_END
 *   CALLS_BEGIN CALL_BEGIN f SEPARATOR {…} CALL_END … CALLS_END
 * </pre>
 */
final class DeepSeekParser extends MarkedParser {
  static final String CALLS_BEGIN = "<｜tool▁calls▁begin｜>";
  static final String CALLS_END = "<｜tool▁calls▁end｜>";
  static final String CALL_BEGIN = "<｜tool▁call▁begin｜>";
  static final String CALL_END = "<｜tool▁call▁end｜>";
  static final String SEPARATOR = "<｜tool▁sep｜>";
  private static final List<String> MARKERS = List.of(CALLS_BEGIN, CALL_BEGIN, CALL_END, CALLS_END);
  private static final int HEAD_CHARS_MAX = 512;

  private enum State {
    TEXT,
    /** Between the two markers that begin. */
    OPENED,
    HEAD,
    AFTER
  }

  private final MarkerFinder finder = new MarkerFinder(MARKERS);
  private final StringBuilder gap = new StringBuilder(); // not decided yet
  private int headFrom; // where the call's head begins in it
  private State state = State.TEXT;
  private boolean closable; // a call came since the last beginning

  DeepSeekParser(Tools tools, ToolCallSink sink) {
    super(tools, sink);
  }

  @Override
  void between(char c) {
    switch (state) {
      case TEXT -> text(c);
      case OPENED -> opened(c);
      case HEAD -> head(c);
      case AFTER -> after(c);
    }
  }

  private void text(char c) {
    int found = finder.accept(c, out::content);
    if (found != MarkerFinder.NONE) {
      onMarker(MARKERS.get(found));
    }
  }

  private void onMarker(String marker) {
    switch (marker) {
      case CALLS_BEGIN -> {
        out.content(takeGap()); // a beginning before this one came to nothing
        gap.append(marker);
        state = State.OPENED;
      }
      case CALL_BEGIN -> {
        gap.append(marker);
        headFrom = gap.length();
        state = State.HEAD;
      }
      default -> {
        if (closable) {
          closable = marker.equals(CALL_END); // the end of all calls may follow
        } else {
          out.content(takeGap() + marker);
          state = State.TEXT;
        }
      }
    }
  }

  private void opened(char c) {
    if (CallWriter.isBlank(c) && !finder.isHolding()) {
      gap.append(c);
      return;
    }
    int found =
        finder.accept(
            c,
            rest -> {
              out.content(takeGap());
              out.content(rest);
              state = State.TEXT;
            });
    if (found != MarkerFinder.NONE) {
      onMarker(MARKERS.get(found));
    }
  }

  private void head(char c) {
    if (c == '{') {
      String name = named(gap.substring(headFrom));
      state = State.TEXT;
      read(new NamedCall(tools, out, takeGap(), name), c);
    } else if (gap.length() - headFrom < HEAD_CHARS_MAX) {
      gap.append(c);
    } else {
      giveUp(c);
    }
  }

  /** The name in a head, empty where it is none. */
  private static String named(String head) {
    int at = head.indexOf(SEPARATOR);
    if (at < 0) {
      return "";
    }
    String rest = head.substring(at + SEPARATOR.length());
    if (rest.isBlank()) {
      return head.substring(0, at).strip();
    }
    int lineEnd = rest.indexOf('\n');
    String fence = lineEnd < 0 ? "" : rest.substring(lineEnd).strip();
    boolean known = fence.isEmpty() || fence.equals("```json") || fence.equals("```");
    return known ? (lineEnd < 0 ? rest : rest.substring(0, lineEnd)).strip() : "";
  }

  private void after(char c) {
    if (CallWriter.isBlank(c) || c == '`') {
      gap.append(c);
    } else {
      if (c == '<') {
        gap.setLength(0); // a fence that closes
      }
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

  @Override
  void finishBetween() {
    if (state != State.AFTER || !out.isBehindCall()) {
      out.content(takeGap());
    }
    finder.finish(out::content);
  }

  @Override
  void onClosed() {
    state = State.AFTER;
    closable = true;
  }

  @Override
  void onRefused(CallReader call) {
    out.content(call.held());
    state = State.TEXT;
  }
}
