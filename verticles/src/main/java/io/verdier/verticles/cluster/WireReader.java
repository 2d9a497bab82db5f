package io.verdier.verticles.cluster;

import io.vertx.core.buffer.Buffer;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads what {@link WireWriter} wrote. Owned by the thread that reads.
 *
 * <p>Nothing is believed: a count may be no larger than the bytes that are left, since everything
 * counted takes one at least, so no few bytes can ask for much memory; and nesting is bounded.
 */
public final class WireReader {
  /** As deep as a request's JSON may be by any setting, and some for what is around it. */
  private static final int DEPTH_MAX = 1024;

  private final Buffer in;
  private final int end;
  private int at;
  private int depth;

  public WireReader(Buffer in, int start, int end) {
    this.in = in;
    this.at = start;
    this.end = end;
  }

  int position() {
    return at;
  }

  /** All has been read, as it must be. */
  public void requireEnd() {
    if (at != end) {
      throw new WireException((end - at) + " bytes too many");
    }
  }

  private int take(int bytes) {
    if (bytes > end - at) {
      throw new WireException("it ends too early");
    }
    int start = at;
    at += bytes;
    return start;
  }

  public int octet() {
    return in.getUnsignedByte(take(1));
  }

  public boolean flag() {
    int value = octet();
    if (value > 1) {
      throw new WireException("neither true nor false: " + value);
    }
    return value == 1;
  }

  public long number() {
    long raw = unsigned();
    return (raw >>> 1) ^ -(raw & 1);
  }

  private long unsigned() {
    long value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      int next = octet();
      value |= (long) (next & 0x7f) << shift;
      if (next < 0x80) {
        return value;
      }
    }
    throw new WireException("a number without an end");
  }

  public int whole() {
    long value = number();
    if (value != (int) value) {
      throw new WireException("too large a number: " + value);
    }
    return (int) value;
  }

  /** Of things that take {@code each} bytes at least. */
  private int count(int each) {
    long count = number();
    if (count < 0 || count > (end - at) / each) {
      throw new WireException("too many: " + count);
    }
    return (int) count;
  }

  public long fixed() {
    return in.getLong(take(Long.BYTES));
  }

  public float real() {
    return Float.intBitsToFloat(in.getInt(take(Float.BYTES)));
  }

  public double realDouble() {
    return Double.longBitsToDouble(in.getLong(take(Double.BYTES)));
  }

  public String text() {
    char[] chars = new char[count(1)];
    for (int i = 0; i < chars.length; i++) {
      long unit = unsigned();
      if (unit < 0 || unit > Character.MAX_VALUE) {
        throw new WireException("no character: " + unit);
      }
      chars[i] = (char) unit;
    }
    return new String(chars);
  }

  @Nullable String optionalText() {
    return flag() ? text() : null;
  }

  public byte[] bytes() {
    int count = count(1);
    int start = take(count);
    return in.getBytes(start, start + count);
  }

  public int[] ints() {
    int[] values = new int[count(1)];
    for (int i = 0; i < values.length; i++) {
      values[i] = whole();
    }
    return values;
  }

  public long[] longs() {
    long[] values = new long[count(Long.BYTES)];
    for (int i = 0; i < values.length; i++) {
      values[i] = fixed();
    }
    return values;
  }

  public float[] reals() {
    float[] values = new float[count(Float.BYTES)];
    int start = take(values.length * Float.BYTES);
    byte[] bytes = in.getBytes(start, at);
    ByteBuffer.wrap(bytes).asFloatBuffer().get(values); // at once: there may be millions
    return values;
  }

  public <T> List<T> list(Function<WireReader, T> each) {
    int count = count(1);
    List<T> values = new ArrayList<>(Math.min(count, 1024));
    for (int i = 0; i < count; i++) {
      values.add(each.apply(this));
    }
    return values;
  }

  public List<String> texts() {
    return list(WireReader::text);
  }

  /** One of an enum's values, by its name: their numbers may change between versions. */
  public <E extends Enum<E>> E constant(Class<E> type) {
    String name = text();
    for (E value : type.getEnumConstants()) {
      if (value.name().equals(name)) {
        return value;
      }
    }
    throw new WireException("no " + type.getSimpleName());
  }

  /** A decoded JSON value. */
  @Nullable Object json() {
    if (++depth > DEPTH_MAX) {
      throw new WireException("nested too deeply");
    }
    Object value =
        switch (octet()) {
          case WireWriter.NULL -> null;
          case WireWriter.FALSE -> false;
          case WireWriter.TRUE -> true;
          case WireWriter.INT -> whole();
          case WireWriter.LONG -> number();
          case WireWriter.BIG -> new BigInteger(nonEmpty());
          case WireWriter.DOUBLE -> realDouble();
          case WireWriter.TEXT -> text();
          case WireWriter.LIST -> jsonList();
          case WireWriter.MAP -> jsonMap();
          default -> throw new WireException("no JSON value");
        };
    depth--;
    return value;
  }

  private byte[] nonEmpty() {
    byte[] bytes = bytes();
    if (bytes.length == 0) {
      throw new WireException("an empty number");
    }
    return bytes;
  }

  private List<@Nullable Object> jsonList() {
    int count = count(1);
    List<@Nullable Object> values = new ArrayList<>(Math.min(count, 1024));
    for (int i = 0; i < count; i++) {
      values.add(json());
    }
    return values;
  }

  Map<String, @Nullable Object> jsonMap() {
    int count = count(2);
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      map.put(text(), json());
    }
    return map;
  }
}
