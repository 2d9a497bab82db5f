package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A window on rows and columns of floats outside the heap. Owned by the executor thread. Rows are
 * padded as in {@link CpuTensor}, for the same reason.
 */
final class NativeTensor implements Tensor {
  private static final int LINE = 16;

  private final MemorySegment data; // [rowsMax, stride] f32
  private final int rowsMax;
  private final int stride;
  private final int column;
  private final int columns;
  private int first;
  private int rows;

  NativeTensor(int rowsMax, int columns, Arena arena) {
    this(
        NativeMemory.allocate((long) rowsMax * pad(columns) * Float.BYTES, arena),
        rowsMax,
        pad(columns),
        0,
        columns);
  }

  private NativeTensor(MemorySegment data, int rowsMax, int stride, int column, int columns) {
    this.data = data;
    this.rowsMax = rowsMax;
    this.stride = stride;
    this.column = column;
    this.columns = columns;
    this.rows = rowsMax;
  }

  private static int pad(int columns) {
    int lines = (columns + LINE - 1) / LINE;
    return (lines | 1) * LINE; // an odd number of lines
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public int rowsMax() {
    return rowsMax;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public void select(int firstRow, int count) {
    if (firstRow < 0 || count < 0 || firstRow + count > rowsMax) {
      throw new IndexOutOfBoundsException(firstRow + " + " + count + " of " + rowsMax + " rows");
    }
    first = firstRow;
    rows = count;
  }

  @Override
  public NativeTensor columns(int firstColumn, int count) {
    if (firstColumn < 0 || count < 0 || firstColumn + count > columns) {
      throw new IndexOutOfBoundsException(
          firstColumn + " + " + count + " of " + columns + " columns");
    }
    return new NativeTensor(data, rowsMax, stride, column + firstColumn, count);
  }

  /** Floats from one row to the next. */
  int stride() {
    return stride;
  }

  /** Where the first selected row begins. */
  long address() {
    return data.address() + offset(first);
  }

  /** Bytes before a row of the storage, whatever is selected. */
  private long offset(int row) {
    return ((long) row * stride + column) * Float.BYTES;
  }

  /** Copies a row of another tensor, by its index from that one's first, to a selected row. */
  void copyRow(int row, NativeTensor from, int fromRow) {
    if (row < 0 || row >= rows || fromRow < 0 || fromRow >= from.rowsMax) {
      throw new IndexOutOfBoundsException("row " + fromRow + " to " + row);
    }
    MemorySegment.copy(
        from.data, from.offset(fromRow), data, offset(first + row), (long) columns * Float.BYTES);
  }

  /** Copies columns of a selected row to an array. */
  void copyOut(int row, int firstColumn, float[] to, int at, int count) {
    MemorySegment.copy(
        data,
        java.lang.foreign.ValueLayout.JAVA_FLOAT,
        offset(first + row) + (long) firstColumn * Float.BYTES,
        to,
        at,
        count);
  }
}
