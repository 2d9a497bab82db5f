package io.verdier.engine.weights;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * One tensor as it lies in a checkpoint: row-major, little-endian, read-only. Immutable; valid
 * while the {@link Weights} it came from are open. The byte size has been checked against shape and
 * type.
 *
 * @param shape lengths of the dimensions, outermost first; not to be changed
 * @param data the bytes, a view into the mapped file or a block of noise
 * @param rowBytes from the beginning of one row to that of the next: more than a row has where the
 *     tensor is some columns of another
 */
public record StoredTensor(
    String name, DType dtype, long[] shape, MemorySegment data, long rowBytes) {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** A whole one, without gaps between its rows. */
  public StoredTensor(String name, DType dtype, long[] shape, MemorySegment data) {
    this(
        name,
        dtype,
        shape,
        data,
        (shape.length == 0 ? 1 : shape[shape.length - 1]) * dtype.bytes());
  }

  /** Some rows of a matrix, or some elements of a vector, where they are. */
  public StoredTensor rows(int first, int count) {
    long[] part = shape.clone();
    part[0] = count;
    long step = shape.length < 2 ? dtype.bytes() : rowBytes;
    long last = shape.length < 2 ? step : rowLength();
    MemorySegment view = view(first * step, (count - 1) * step + last);
    return new StoredTensor(name, dtype, part, view, rowBytes);
  }

  /** Some columns of a matrix, where they are. */
  public StoredTensor columns(int first, int count) {
    Objects.checkFromIndexSize(first, count, columns());
    long last = (long) count * dtype.bytes();
    MemorySegment view = view((long) first * dtype.bytes(), (rows() - 1) * rowBytes + last);
    return new StoredTensor(name, dtype, new long[] {rows(), count}, view, rowBytes);
  }

  /** Of a tensor that is only a shape, nothing. */
  private MemorySegment view(long offset, long bytes) {
    return data.byteSize() == 0 ? data : data.asSlice(offset, Math.max(0, bytes));
  }

  /** Bytes of a row's elements. */
  private long rowLength() {
    return (long) columns() * dtype.bytes();
  }

  /** Whether one row begins where the last one ends. */
  public boolean isContiguous() {
    return rowBytes == rowLength() || rows() < 2;
  }

  /** A vector counts as one row. */
  public int rows() {
    return shape.length < 2 ? 1 : Math.toIntExact(shape[0]);
  }

  /** Length of the last dimension; 1 for a scalar. */
  public int columns() {
    return shape.length == 0 ? 1 : Math.toIntExact(shape[shape.length - 1]);
  }

  /**
   * Refuses any other shape and any type that no weight may have.
   *
   * @param expected what the model's configuration asks for
   */
  public StoredTensor requireShape(long... expected) {
    if (!dtype.isWeight()) {
      throw new WeightsException(
          "tensor " + name + " has type " + dtype + "; weights must be BF16, F16 or F32.");
    }
    if (!Arrays.equals(shape, expected)) {
      throw new WeightsException(
          "tensor "
              + name
              + " has shape "
              + Arrays.toString(shape)
              + "; config.json asks for "
              + Arrays.toString(expected)
              + ".");
    }
    return this;
  }

  /**
   * Rows of several matrices on top of each other.
   *
   * @throws IllegalArgumentException if one has other columns than the first
   */
  public static int stackedRows(List<StoredTensor> parts) {
    int rows = 0;
    for (StoredTensor part : parts) {
      if (part.columns() != parts.getFirst().columns()) {
        throw new IllegalArgumentException(part.name + " has " + part.columns() + " columns");
      }
      rows = Math.addExact(rows, part.rows());
    }
    return rows;
  }

  /** The elements of a vector as float32, exactly. */
  public float[] floats() {
    float[] values = new float[columns()];
    for (int i = 0; i < values.length; i++) {
      values[i] = element((long) i * dtype.bytes());
    }
    return values;
  }

  /** Whether all elements of a matrix or vector are numbers, and none of them infinite. */
  public boolean isFinite() {
    long length = rowLength();
    long whole = length - length % Long.BYTES;
    for (int row = 0; row < rows(); row++) {
      long first = row * rowBytes;
      for (long at = 0; at < whole; at += Long.BYTES) {
        if (holdsInfinite(data.get(LONG, first + at))) {
          return false;
        }
      }
      for (long at = whole; at < length; at += dtype.bytes()) {
        if (!Float.isFinite(element(first + at))) {
          return false;
        }
      }
      ThreadPriority.letPass(length);
    }
    return true;
  }

  /**
   * Whether one of the numbers in eight bytes is NaN or infinite: the bits of its exponent are all
   * ones. Taken off a mask of these they leave zeros, and a zero among numbers borrows from what is
   * above its exponent.
   */
  private boolean holdsInfinite(long numbers) {
    long exponents =
        switch (dtype) {
          case F32 -> 0x7f80_0000_7f80_0000L;
          case BF16 -> 0x7f80_7f80_7f80_7f80L;
          case F16 -> 0x7c00_7c00_7c00_7c00L;
          default -> throw new IllegalArgumentException(name + ": " + dtype);
        };
    boolean isWide = dtype == DType.F32;
    long ones = isWide ? 0x0000_0001_0000_0001L : 0x0001_0001_0001_0001L;
    long signs = isWide ? 0x8000_0000_8000_0000L : 0x8000_8000_8000_8000L;
    long left = (numbers & exponents) ^ exponents;
    return ((left - ones) & ~left & signs) != 0;
  }

  private float element(long offset) {
    return switch (dtype) {
      case F32 -> data.get(FLOAT, offset);
      case BF16 -> Float.intBitsToFloat(data.get(SHORT, offset) << 16);
      case F16 -> Float.float16ToFloat(data.get(SHORT, offset));
      default -> throw new IllegalArgumentException(name + ": " + dtype);
    };
  }

  /**
   * Copies a row as bfloat16: to the nearest, ties to even.
   *
   * @param at where in {@code to} its two bytes a column begin
   */
  public void copyBfloat16(int row, MemorySegment to, long at) {
    long first = row * rowBytes;
    if (dtype == DType.BF16) {
      MemorySegment.copy(data, first, to, at, rowLength());
      return;
    }
    for (int i = 0; i < columns(); i++) {
      to.set(SHORT, at + i * 2L, bfloat16(first + (long) i * dtype.bytes()));
    }
  }

  /**
   * Copies all of a matrix as {@link #copyBfloat16} does, but columns as rows.
   *
   * @param at where in {@code to} the first column begins
   * @param stride elements from there to where the next one does
   */
  public void copyBfloat16Transposed(MemorySegment to, long at, int stride) {
    for (int row = 0; row < rows(); row++) {
      long first = row * rowBytes;
      for (int i = 0; i < columns(); i++) {
        short value = bfloat16(first + (long) i * dtype.bytes());
        to.set(SHORT, at + ((long) i * stride + row) * 2, value);
      }
      ThreadPriority.letPass(rowLength());
    }
  }

  private short bfloat16(long offset) {
    if (dtype == DType.BF16) {
      return data.get(SHORT, offset);
    }
    int bits = Float.floatToRawIntBits(element(offset));
    boolean isNan = (bits & 0x7fffffff) > 0x7f800000;
    int rounded = isNan ? bits | 0x400000 : bits + 0x7fff + (bits >>> 16 & 1);
    return (short) (rounded >>> 16);
  }
}
