package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Tensor;

/**
 * A window on rows and columns of device memory, float32, row-major. Owned by the executor thread.
 */
final class CudaTensor implements Tensor {
  private static final int ALIGNED_COLUMNS = 4; // rows begin at 16 bytes

  private final long base; // of the storage's first row
  private final int rowsMax;
  private final int stride; // columns between rows
  private final int column;
  private final int columns;
  private int first;
  private int rows;

  /** Allocates storage. */
  CudaTensor(CudaDriver driver, int rowsMax, int columns) {
    this(
        driver.allocate((long) rowsMax * pad(columns) * Float.BYTES),
        rowsMax,
        pad(columns),
        0,
        columns);
  }

  private CudaTensor(long base, int rowsMax, int stride, int column, int columns) {
    this.base = base;
    this.rowsMax = rowsMax;
    this.stride = stride;
    this.column = column;
    this.columns = columns;
    this.rows = rowsMax;
  }

  private static int pad(int columns) {
    return (columns + ALIGNED_COLUMNS - 1) / ALIGNED_COLUMNS * ALIGNED_COLUMNS;
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
  public CudaTensor columns(int firstColumn, int count) {
    if (firstColumn < 0 || count < 0 || firstColumn + count > columns) {
      throw new IndexOutOfBoundsException(
          firstColumn + " + " + count + " of " + columns + " columns");
    }
    return new CudaTensor(base, rowsMax, stride, column + firstColumn, count);
  }

  /** Columns between the beginnings of two rows. */
  int stride() {
    return stride;
  }

  /** Where the first selected row begins. */
  long address() {
    return base + ((long) first * stride + column) * Float.BYTES;
  }

  /** Where row 0 of the storage begins, whatever is selected. */
  long origin() {
    return base + (long) column * Float.BYTES;
  }
}
