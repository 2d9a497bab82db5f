package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.RowWindow;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A window on rows and columns of floats outside the heap. Owned by the executor thread. Rows are
 * padded as in {@link CpuTensor}, for the same reason.
 */
final class NativeTensor extends RowWindow implements HostRows {
  private static final int LINE = 16;

  private final MemorySegment data; // [rowsMax, stride] f32
  private final int stride;
  private final int column;

  NativeTensor(int rowsMax, int columns, Arena arena) {
    this(
        NativeMemory.allocate((long) rowsMax * pad(columns) * Float.BYTES, arena),
        rowsMax,
        pad(columns),
        0,
        columns);
  }

  private NativeTensor(MemorySegment data, int rowsMax, int stride, int column, int columns) {
    super(rowsMax, columns);
    this.data = data;
    this.stride = stride;
    this.column = column;
  }

  private static int pad(int columns) {
    int lines = (columns + LINE - 1) / LINE;
    return (lines | 1) * LINE; // an odd number of lines
  }

  @Override
  public NativeTensor columns(int firstColumn, int count) {
    requireColumns(firstColumn, count);
    return new NativeTensor(data, rowsMax(), stride, column + firstColumn, count);
  }

  /** Floats from one row to the next. */
  int stride() {
    return stride;
  }

  /** Where the first selected row begins. */
  long address() {
    return data.address() + offset(first());
  }

  /** Bytes before a row of the storage, whatever is selected. */
  private long offset(int row) {
    return ((long) row * stride + column) * Float.BYTES;
  }

  /** Copies a row of another tensor, by its index from that one's first, to a selected row. */
  void copyRow(int row, NativeTensor from, int fromRow) {
    if (row < 0 || row >= rows() || fromRow < 0 || fromRow >= from.rowsMax()) {
      throw new IndexOutOfBoundsException("row " + fromRow + " to " + row);
    }
    MemorySegment.copy(
        from.data,
        from.offset(fromRow),
        data,
        offset(first() + row),
        (long) columns() * Float.BYTES);
  }

  /** Copies columns of a selected row to an array. */
  void copyOut(int row, int firstColumn, float[] to, int at, int count) {
    MemorySegment.copy(
        data,
        ValueLayout.JAVA_FLOAT,
        offset(first() + row) + (long) firstColumn * Float.BYTES,
        to,
        at,
        count);
  }

  /** Overwrites a selected row with floats of an array. */
  void copyIn(int row, float[] from, int at) {
    MemorySegment.copy(from, at, data, ValueLayout.JAVA_FLOAT, offset(first() + row), columns());
  }

  @Override
  public void read(int row, int firstColumn, int count, float[] to) {
    requireColumns(firstColumn, count);
    copyOut(row, firstColumn, to, 0, count);
  }

  @Override
  public void write(int row, int firstColumn, int count, float[] from) {
    requireColumns(firstColumn, count);
    long at = offset(first() + row) + (long) firstColumn * Float.BYTES;
    MemorySegment.copy(from, 0, data, ValueLayout.JAVA_FLOAT, at, count);
  }
}
