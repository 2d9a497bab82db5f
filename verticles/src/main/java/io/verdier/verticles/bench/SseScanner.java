package io.verdier.verticles.bench;

import java.util.Arrays;

/**
 * Owned by the event loop. Finds the {@code data:} lines of a stream of server-sent events in
 * whatever pieces it arrives. Lines, not events, because an OpenAI stream has one such line an
 * event; nothing is decoded here. What lies whole in a piece is reported in place; only a line that
 * a piece cuts is copied.
 */
final class SseScanner {
  /** A line longer than this is no token: the stream is broken. */
  static final int LINE_BYTES_MAX = 16 << 20;

  private final Sink sink;
  private byte[] cut = new byte[512]; // the beginning of a line whose end is still to come
  private int cutLength;

  /** Takes what is found. */
  interface Sink {
    /** The payload of one data line; the bytes may be overwritten after the call. */
    void onData(byte[] bytes, int start, int end);
  }

  SseScanner(Sink sink) {
    this.sink = sink;
  }

  /**
   * Scans the next piece.
   *
   * @throws IllegalStateException if a line is longer than {@link #LINE_BYTES_MAX}
   */
  void feed(byte[] bytes, int length) {
    int lineStart = 0;
    for (int i = 0; i < length; i++) {
      if (bytes[i] != '\n') {
        continue;
      }
      if (cutLength > 0) {
        keep(bytes, lineStart, i);
        onLine(cut, 0, cutLength);
        cutLength = 0;
      } else {
        onLine(bytes, lineStart, i);
      }
      lineStart = i + 1;
    }
    keep(bytes, lineStart, length);
  }

  private void keep(byte[] bytes, int start, int end) {
    int needed = cutLength + end - start;
    if (needed > LINE_BYTES_MAX) {
      throw new IllegalStateException("a line of the stream is longer than " + LINE_BYTES_MAX);
    }
    if (needed > cut.length) {
      cut = Arrays.copyOf(cut, Math.max(needed, 2 * cut.length));
    }
    System.arraycopy(bytes, start, cut, cutLength, end - start);
    cutLength = needed;
  }

  private void onLine(byte[] bytes, int start, int end) {
    int last = end > start && bytes[end - 1] == '\r' ? end - 1 : end;
    if (last - start < 5
        || bytes[start] != 'd'
        || bytes[start + 1] != 'a'
        || bytes[start + 2] != 't'
        || bytes[start + 3] != 'a'
        || bytes[start + 4] != ':') {
      return; // blank, comment or another field
    }
    int payload = start + 5;
    if (payload < last && bytes[payload] == ' ') {
      payload++;
    }
    sink.onData(bytes, payload, last);
  }
}
