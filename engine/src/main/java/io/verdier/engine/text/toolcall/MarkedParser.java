package io.verdier.engine.text.toolcall;

import org.jspecify.annotations.Nullable;

/**
 * Hands each character to the call that is being read, or to what finds calls. Owned as it says.
 */
abstract class MarkedParser implements ToolCallParser {
  final Tools tools;
  final CallWriter out;
  private @Nullable CallReader reader;

  MarkedParser(Tools tools, ToolCallSink sink) {
    this.tools = tools;
    this.out = new CallWriter(sink);
  }

  @Override
  public final void append(CharSequence piece) {
    for (int i = 0; i < piece.length(); i++) {
      accept(piece.charAt(i));
    }
  }

  @Override
  public final void finish() {
    CallReader left = reader;
    if (left == null) {
      finishBetween();
    } else {
      left.leave();
      onCut(left);
    }
    out.finish();
  }

  private void accept(char c) {
    CallReader current = reader;
    if (current == null) {
      between(c);
      return;
    }
    switch (current.accept(c)) {
      case OPEN -> {
        // more is to come
      }
      case CLOSED -> {
        reader = null;
        onClosed();
      }
      case REFUSED -> {
        reader = null;
        current.leave();
        onRefused(current);
        accept(c);
      }
    }
  }

  /** From the next character on the call reads. */
  final void read(CallReader call) {
    reader = call;
  }

  /** The same, beginning with this character. */
  final void read(CallReader call, char first) {
    reader = call;
    accept(first);
  }

  /** A character outside of calls. */
  abstract void between(char c);

  /** The text ends outside of calls. */
  abstract void finishBetween();

  /** A call, or what was read as one, is over. */
  abstract void onClosed();

  /** The text ends inside of a call, or of what may be one. */
  void onCut(CallReader call) {
    out.content(call.held());
  }

  /** What was read as a call is none; {@link #between} gets the character that showed it. */
  abstract void onRefused(CallReader call);
}
