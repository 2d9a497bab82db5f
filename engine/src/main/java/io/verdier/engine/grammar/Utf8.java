package io.verdier.engine.grammar;

/**
 * Ranges of code points as ranges of bytes: UTF-8 (RFC 3629) cuts a range of code points into a few
 * sequences of byte ranges, each of which is a rectangle: any byte of the first range may be
 * followed by any of the second, and so on.
 */
final class Utf8 {
  private static final int[] LENGTH_LAST = {0x7f, 0x7ff, 0xffff, 0x10ffff};

  private Utf8() {}

  /** Hears of one sequence: {@code length} ranges, from the first byte on. */
  @FunctionalInterface
  interface Listener {
    void onSequence(int[] first, int[] last, int length);
  }

  /** Calls the listener with every sequence of the set. */
  static void cut(CodePoints set, Listener listener) {
    for (int i = 0; i < set.ranges(); i++) {
      int from = set.first(i);
      for (int length = 1; length <= LENGTH_LAST.length && from <= set.last(i); length++) {
        int last = Math.min(set.last(i), LENGTH_LAST[length - 1]);
        if (from <= last) {
          cutEqual(from, last, length, listener);
          from = last + 1;
        }
      }
    }
  }

  /** Of code points that all take {@code length} bytes. */
  private static void cutEqual(int first, int last, int length, Listener listener) {
    for (int tail = 1; tail < length; tail++) {
      int mask = (1 << (6 * tail)) - 1; // the bits in the last `tail` bytes
      if ((first & ~mask) != (last & ~mask)) {
        if ((first & mask) != 0) {
          cutEqual(first, first | mask, length, listener);
          cutEqual((first | mask) + 1, last, length, listener);
          return;
        }
        if ((last & mask) != mask) {
          cutEqual(first, (last & ~mask) - 1, length, listener);
          cutEqual(last & ~mask, last, length, listener);
          return;
        }
      }
    }
    int[] low = new int[length];
    int[] high = new int[length];
    encode(first, length, low);
    encode(last, length, high);
    listener.onSequence(low, high, length);
  }

  private static void encode(int codePoint, int length, int[] bytes) {
    if (length == 1) {
      bytes[0] = codePoint;
      return;
    }
    for (int i = length - 1; i > 0; i--) {
      bytes[i] = 0x80 | ((codePoint >> (6 * (length - 1 - i))) & 0x3f);
    }
    bytes[0] = ((0xf00 >> length) & 0xff) | (codePoint >> (6 * (length - 1)));
  }
}
