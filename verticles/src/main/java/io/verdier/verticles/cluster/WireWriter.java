package io.verdier.verticles.cluster;

import io.vertx.core.buffer.Buffer;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Writes the primitives of the wire. Owned by the thread that writes.
 *
 * <p>Whole numbers are zigzag varints (Protocol Buffers, "Encoding"): token ids and counts are
 * small. A text is its UTF-16 units as varints, so that it comes out exactly as it went in, lone
 * surrogates included; ASCII is a byte a character.
 */
public final class WireWriter {
  static final int NULL = 0;
  static final int FALSE = 1;
  static final int TRUE = 2;
  static final int INT = 3;
  static final int LONG = 4;
  static final int BIG = 5;
  static final int DOUBLE = 6;
  static final int TEXT = 7;
  static final int LIST = 8;
  static final int MAP = 9;

  private final Buffer out = Buffer.buffer(256);

  public Buffer buffer() {
    return out;
  }

  public WireWriter octet(int value) {
    out.appendByte((byte) value);
    return this;
  }

  public WireWriter flag(boolean value) {
    return octet(value ? 1 : 0);
  }

  public WireWriter number(long value) {
    return unsigned((value << 1) ^ (value >> 63));
  }

  private WireWriter unsigned(long value) {
    long left = value;
    while ((left & ~0x7fL) != 0) {
      out.appendByte((byte) (left | 0x80));
      left >>>= 7;
    }
    out.appendByte((byte) left);
    return this;
  }

  /** Eight bytes: hashes and counters that are not small. */
  public WireWriter fixed(long value) {
    out.appendLong(value);
    return this;
  }

  public WireWriter real(float value) {
    out.appendInt(Float.floatToRawIntBits(value));
    return this;
  }

  public WireWriter real(double value) {
    out.appendLong(Double.doubleToRawLongBits(value));
    return this;
  }

  public WireWriter text(String value) {
    number(value.length());
    for (int i = 0; i < value.length(); i++) {
      unsigned(value.charAt(i));
    }
    return this;
  }

  public WireWriter optionalText(@Nullable String value) {
    flag(value != null);
    return value == null ? this : text(value);
  }

  public WireWriter bytes(byte[] value) {
    number(value.length);
    out.appendBytes(value);
    return this;
  }

  public WireWriter ints(int[] values) {
    number(values.length);
    for (int value : values) {
      number(value);
    }
    return this;
  }

  public WireWriter longs(long[] values) {
    number(values.length);
    for (long value : values) {
      fixed(value);
    }
    return this;
  }

  public WireWriter reals(float[] values) {
    number(values.length);
    byte[] bytes = new byte[values.length * Float.BYTES];
    ByteBuffer.wrap(bytes).asFloatBuffer().put(values); // at once: there may be millions
    out.appendBytes(bytes);
    return this;
  }

  public <T> WireWriter list(List<T> values, BiConsumer<WireWriter, T> each) {
    number(values.size());
    values.forEach(value -> each.accept(this, value));
    return this;
  }

  public WireWriter texts(List<String> values) {
    return list(values, WireWriter::text);
  }

  /** A decoded JSON value. */
  WireWriter json(@Nullable Object value) {
    switch (value) {
      case null -> octet(NULL);
      case Boolean truth -> octet(truth ? TRUE : FALSE);
      case Integer whole -> octet(INT).number(whole);
      case Long whole -> octet(LONG).number(whole);
      case BigInteger big -> octet(BIG).bytes(big.toByteArray());
      case Double real -> octet(DOUBLE).real(real.doubleValue());
      case String text -> octet(TEXT).text(text);
      case List<?> list -> {
        octet(LIST).number(list.size());
        list.forEach(this::json);
      }
      case Map<?, ?> map -> {
        octet(MAP).number(map.size());
        map.forEach((name, field) -> text(String.valueOf(name)).json(field));
      }
      default -> throw new IllegalStateException("no JSON value: " + value.getClass().getName());
    }
    return this;
  }
}
