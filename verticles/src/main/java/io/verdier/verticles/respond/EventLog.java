package io.verdier.verticles.respond;

import io.verdier.verticles.bus.BackgroundResponse.Page;
import java.util.Arrays;

/**
 * The events of one response, numbered from 0. Owned by the verticle's thread.
 *
 * <p>One array of bytes and the ends of the events in it: events are small and many, and an object
 * for each would weigh more than they do.
 */
final class EventLog {
  private static final int BYTES_MAX = 1 << 29; // doubled it is still an array

  private byte[] bytes = new byte[1024];
  private int[] ends = new int[16]; // of event i in bytes, exclusive
  private int count;

  /** What the log holds in memory. */
  long size() {
    return bytes.length + (long) Integer.BYTES * ends.length;
  }

  /** Whether nothing more may be appended. */
  boolean isFull() {
    return bytes.length > BYTES_MAX;
  }

  /**
   * Takes whole events, each of which ends with an empty line; nothing inside of one does, for JSON
   * has no line breaks of its own.
   */
  void append(byte[] events) {
    int from = length();
    if (from + events.length > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.max(from + events.length, 2 * bytes.length));
    }
    System.arraycopy(events, 0, bytes, from, events.length);
    for (int i = 1; i < events.length; i++) {
      if (events[i] == '\n' && events[i - 1] == '\n') {
        end(from + i + 1);
      }
    }
  }

  private void end(int end) {
    if (count == ends.length) {
      ends = Arrays.copyOf(ends, 2 * count);
    }
    ends[count++] = end;
  }

  private int length() {
    return count == 0 ? 0 : ends[count - 1];
  }

  /** Whether there is an event behind the one of that number. */
  boolean hasAfter(int number) {
    return number < count - 1;
  }

  /**
   * Events behind the one of that number: as many as {@code bytesMax} holds, and at least one where
   * there is any.
   *
   * @param isComplete whether no others will come
   */
  Page page(int after, int bytesMax, boolean isComplete) {
    int first = after + 1;
    if (first >= count) {
      return new Page(new byte[0], after, isComplete);
    }
    int from = first == 0 ? 0 : ends[first - 1];
    int last = first;
    while (last + 1 < count && ends[last + 1] - from <= bytesMax) {
      last++;
    }
    byte[] events = Arrays.copyOfRange(bytes, from, ends[last]);
    return new Page(events, last, isComplete && last == count - 1);
  }
}
