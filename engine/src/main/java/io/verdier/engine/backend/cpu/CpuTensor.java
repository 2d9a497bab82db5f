package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.RowWindow;

/**
 * A window on rows and columns of a float array. Owned by the executor thread. Multiplications take
 * it as it is.
 *
 * <p>Activations live on the heap: C2 compiles array accesses in large kernels where it gives up on
 * those through memory segments. Rows are padded by one cache line beyond their columns, because
 * rows a power of two apart fall into the same few sets of the first-level cache.
 */
final class CpuTensor extends RowWindow implements HostRows, Operand {
  private static final int LINE = 16;

  final float[] data; // [rowsMax, stride]
  final int stride;
  private final int column;

  CpuTensor(int rowsMax, int columns) {
    this(new float[Math.multiplyExact(rowsMax, pad(columns))], pad(columns), 0, columns);
  }

  private CpuTensor(float[] data, int stride, int column, int columns) {
    super(data.length / stride, columns);
    this.data = data;
    this.stride = stride;
    this.column = column;
  }

  private static int pad(int columns) {
    int lines = (columns + LINE - 1) / LINE;
    return (lines | 1) * LINE; // an odd number of lines
  }

  @Override
  public CpuTensor columns(int firstColumn, int count) {
    requireColumns(firstColumn, count);
    return new CpuTensor(data, stride, column + firstColumn, count);
  }

  /** Where a selected row begins in {@link #data}. */
  int at(int row) {
    return (first() + row) * stride + column;
  }

  /** Where a row begins, whatever is selected. */
  int atAbsolute(int row) {
    return row * stride + column;
  }

  @Override
  public void read(int row, int firstColumn, int count, float[] to) {
    requireColumns(firstColumn, count);
    System.arraycopy(data, at(row) + firstColumn, to, 0, count);
  }

  @Override
  public void write(int row, int firstColumn, int count, float[] from) {
    requireColumns(firstColumn, count);
    System.arraycopy(from, 0, data, at(row) + firstColumn, count);
  }
}
