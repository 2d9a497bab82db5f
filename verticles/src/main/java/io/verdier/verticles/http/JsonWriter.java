package io.verdier.verticles.http;

import io.vertx.core.buffer.Buffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Owned by one event loop. Appends JSON, as UTF-8, to a byte array that is used again and again.
 *
 * <p>Why not Jackson's generator: a streamed token is a prebuilt prefix, an escaped text and a
 * prebuilt suffix, at a hundred thousand events a second; this costs one pass over the text and no
 * allocation. Unpaired surrogates, which UTF-8 cannot say, become U+FFFD.
 */
public final class JsonWriter {
  private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

  /** vLLM's stand-in for what JSON cannot say: minus infinity. */
  private static final float LOGPROB_FLOOR = -9999.0f;

  private static final int DEPTH_MAX = 64;

  /** A rare huge answer must not hold its memory for ever. */
  private static final int KEPT_BYTES_MAX = 1 << 20;

  private byte[] bytes = new byte[1024];
  private int length;
  private boolean separate;
  private final byte[] closers = new byte[DEPTH_MAX];
  private int depth;

  /** Forgets everything written. */
  public JsonWriter clear() {
    if (bytes.length > KEPT_BYTES_MAX) {
      bytes = new byte[1024];
    }
    length = 0;
    depth = 0;
    separate = false;
    return this;
  }

  public int length() {
    return length;
  }

  public Buffer toBuffer() {
    return Buffer.buffer(length).appendBytes(bytes, 0, length);
  }

  public byte[] toBytes() {
    return Arrays.copyOf(bytes, length);
  }

  void appendTo(Buffer buffer) {
    buffer.appendBytes(bytes, 0, length);
  }

  public JsonWriter object() {
    return open('{', '}');
  }

  public JsonWriter array() {
    return open('[', ']');
  }

  private JsonWriter open(char opener, char closer) {
    separate();
    put(opener);
    closers[depth++] = (byte) closer;
    separate = false;
    return this;
  }

  /** Closes the innermost object or array. */
  public JsonWriter end() {
    put((char) closers[--depth]);
    separate = true;
    return this;
  }

  public JsonWriter name(String name) {
    separate();
    quote(name);
    put(':');
    separate = false;
    return this;
  }

  public JsonWriter value(@Nullable String value) {
    separate();
    if (value == null) {
      ascii("null");
    } else {
      quote(value);
    }
    separate = true;
    return this;
  }

  public JsonWriter value(long value) {
    separate();
    ascii(Long.toString(value));
    separate = true;
    return this;
  }

  public JsonWriter value(boolean value) {
    separate();
    ascii(value ? "true" : "false");
    separate = true;
    return this;
  }

  /** A finite number, in the fewest digits that give it back. */
  public JsonWriter value(float value) {
    separate();
    ascii(Float.toString(value));
    separate = true;
    return this;
  }

  /** A log probability; minus infinity and less than the floor become the floor. */
  public JsonWriter logprob(float value) {
    separate();
    ascii(Float.toString(value > LOGPROB_FLOOR ? value : LOGPROB_FLOOR));
    separate = true;
    return this;
  }

  /** A sum of log probabilities. */
  public JsonWriter logprobSum(double value) {
    separate();
    ascii(Double.toString(value > LOGPROB_FLOOR ? value : LOGPROB_FLOOR));
    separate = true;
    return this;
  }

  public JsonWriter nothing() {
    return value((String) null);
  }

  public JsonWriter field(String name, @Nullable String value) {
    return name(name).value(value);
  }

  public JsonWriter field(String name, long value) {
    return name(name).value(value);
  }

  public JsonWriter field(String name, boolean value) {
    return name(name).value(value);
  }

  public JsonWriter values(int[] values) {
    array();
    for (int value : values) {
      value(value);
    }
    return end();
  }

  /** Finite numbers, each in the fewest digits that give it back. */
  public JsonWriter values(float[] values) {
    array();
    for (float value : values) {
      value(value);
    }
    return end();
  }

  /** Bytes as they are: no comma is added before, nor before what follows. */
  public JsonWriter raw(byte[] prebuilt) {
    separate = false;
    reserve(prebuilt.length);
    System.arraycopy(prebuilt, 0, bytes, length, prebuilt.length);
    length += prebuilt.length;
    return this;
  }

  /** A quoted and escaped string: no comma is added before, nor before what follows. */
  public JsonWriter rawString(String text) {
    quote(text);
    return this;
  }

  private void separate() {
    if (separate) {
      put(',');
    }
  }

  private void put(char ascii) {
    reserve(1);
    bytes[length++] = (byte) ascii;
  }

  private void ascii(String text) {
    int count = text.length();
    reserve(count);
    for (int i = 0; i < count; i++) {
      bytes[length + i] = (byte) text.charAt(i);
    }
    length += count;
  }

  private void quote(String text) {
    int count = text.length();
    reserve(6L * count + 2); // the worst: each character escaped
    byte[] out = bytes;
    int at = length;
    out[at++] = '"';
    for (int i = 0; i < count; i++) {
      char c = text.charAt(i);
      if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
        out[at++] = (byte) c;
      } else if (c < 0x80) {
        at = escape(out, at, c);
      } else if (c < 0x800) {
        out[at++] = (byte) (0xc0 | (c >> 6));
        out[at++] = (byte) (0x80 | (c & 0x3f));
      } else if (Character.isHighSurrogate(c)
          && i + 1 < count
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        at = fourBytes(out, at, Character.toCodePoint(c, text.charAt(++i)));
      } else {
        at = threeBytes(out, at, Character.isSurrogate(c) ? '\ufffd' : c);
      }
    }
    out[at++] = '"';
    length = at;
  }

  private static int escape(byte[] out, int start, char c) {
    int at = start;
    out[at++] = '\\';
    switch (c) {
      case '"', '\\' -> out[at++] = (byte) c;
      case '\n' -> out[at++] = 'n';
      case '\r' -> out[at++] = 'r';
      case '\t' -> out[at++] = 't';
      case '\b' -> out[at++] = 'b';
      case '\f' -> out[at++] = 'f';
      default -> {
        out[at++] = 'u';
        out[at++] = '0';
        out[at++] = '0';
        out[at++] = HEX[c >> 4];
        out[at++] = HEX[c & 15];
      }
    }
    return at;
  }

  private static int threeBytes(byte[] out, int start, char c) {
    int at = start;
    out[at++] = (byte) (0xe0 | (c >> 12));
    out[at++] = (byte) (0x80 | ((c >> 6) & 0x3f));
    out[at++] = (byte) (0x80 | (c & 0x3f));
    return at;
  }

  private static int fourBytes(byte[] out, int start, int codePoint) {
    int at = start;
    out[at++] = (byte) (0xf0 | (codePoint >> 18));
    out[at++] = (byte) (0x80 | ((codePoint >> 12) & 0x3f));
    out[at++] = (byte) (0x80 | ((codePoint >> 6) & 0x3f));
    out[at++] = (byte) (0x80 | (codePoint & 0x3f));
    return at;
  }

  private void reserve(long more) {
    long needed = length + more;
    if (needed > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.toIntExact(Math.max(needed, 2L * bytes.length)));
    }
  }
}
