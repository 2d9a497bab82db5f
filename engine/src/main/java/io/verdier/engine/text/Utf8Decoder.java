package io.verdier.engine.text;

/**
 * Bytes in any portions to characters, in one pass and without allocation. Owned by the thread that
 * owns the sequence.
 *
 * <p>A character comes out when its last byte has come in. What can never become a character gives
 * one U+FFFD per maximal invalid part (Unicode 16.0, section 3.9, "U+FFFD Substitution of Maximal
 * Subparts"), as Rust's lossy decoding does. Java's own decoder is no substitute: it gives one
 * U+FFFD for an encoded surrogate where the rule gives three.
 */
final class Utf8Decoder {
  private static final char REPLACEMENT = '\uFFFD';

  private int codePoint; // bits of the character begun
  private int missing; // bytes it still lacks
  private int low = 0x80; // bounds of the next byte: overlong forms, surrogates and
  private int high = 0xBF; // values past U+10FFFF are refused at the second byte

  /** Whether a character has begun and is not complete. */
  boolean isInside() {
    return missing > 0;
  }

  /**
   * Decodes {@code bytes[from, to)} into {@code out}, starting at {@code position}.
   *
   * @param out has room for one char more than there are bytes
   * @return the position behind the last char written
   */
  int decode(byte[] bytes, int from, int to, char[] out, int position) {
    int at = position;
    for (int i = from; i < to; i++) {
      int b = bytes[i] & 0xFF;
      if (missing > 0) {
        if (b >= low && b <= high) {
          at = accept(b, out, at);
          continue;
        }
        out[at++] = REPLACEMENT;
        reset();
      }
      if (b < 0x80) {
        out[at++] = (char) b;
      } else if (!begin(b)) {
        out[at++] = REPLACEMENT;
      }
    }
    return at;
  }

  /**
   * The end of input: an incomplete character becomes U+FFFD.
   *
   * @return the position behind the last char written
   */
  int finish(char[] out, int position) {
    if (missing == 0) {
      return position;
    }
    reset();
    out[position] = REPLACEMENT;
    return position + 1;
  }

  private boolean begin(int b) {
    if (b >= 0xC2 && b <= 0xDF) {
      missing = 1;
      codePoint = b & 0x1F;
    } else if (b >= 0xE0 && b <= 0xEF) {
      missing = 2;
      codePoint = b & 0x0F;
      low = b == 0xE0 ? 0xA0 : 0x80;
      high = b == 0xED ? 0x9F : 0xBF;
    } else if (b >= 0xF0 && b <= 0xF4) {
      missing = 3;
      codePoint = b & 0x07;
      low = b == 0xF0 ? 0x90 : 0x80;
      high = b == 0xF4 ? 0x8F : 0xBF;
    } else {
      return false;
    }
    return true;
  }

  private int accept(int b, char[] out, int position) {
    codePoint = (codePoint << 6) | (b & 0x3F);
    low = 0x80;
    high = 0xBF;
    missing--;
    return missing > 0 ? position : position + Character.toChars(codePoint, out, position);
  }

  private void reset() {
    missing = 0;
    low = 0x80;
    high = 0xBF;
  }
}
