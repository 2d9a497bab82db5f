package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.RowWindow;
import io.verdier.engine.backend.Tensor;

/**
 * A window on rows and columns of device memory, float32, row-major. Owned by the executor thread.
 */
final class CudaTensor extends RowWindow implements Tensor {
  private static final int ALIGNED_COLUMNS = 4; // rows begin at 16 bytes

  private final long base; // of the storage's first row
  private final int stride; // columns between rows
  private final int column;

  /** Allocates storage. */
  CudaTensor(CudaDriver driver, int rowsMax, int columns) {
    this(
        driver.allocate((long) rowsMax * stride(columns) * Float.BYTES),
        rowsMax,
        stride(columns),
        0,
        columns);
  }

  private CudaTensor(long base, int rowsMax, int stride, int column, int columns) {
    super(rowsMax, columns);
    this.base = base;
    this.stride = stride;
    this.column = column;
  }

  /** Columns from one row's beginning to the next one's, in storage of its own. */
  static int stride(int columns) {
    return (columns + ALIGNED_COLUMNS - 1) / ALIGNED_COLUMNS * ALIGNED_COLUMNS;
  }

  @Override
  public CudaTensor columns(int firstColumn, int count) {
    requireColumns(firstColumn, count);
    return new CudaTensor(base, rowsMax(), stride, column + firstColumn, count);
  }

  /** Columns between the beginnings of two rows. */
  int stride() {
    return stride;
  }

  /** Where the first selected row begins. */
  long address() {
    return base + ((long) first() * stride + column) * Float.BYTES;
  }

  /** Where row 0 of the storage begins, whatever is selected. */
  long origin() {
    return base + (long) column * Float.BYTES;
  }

  /** Whether rows follow each other with nothing of another window between them. */
  boolean isDense() {
    return column == 0 && stride == stride(columns());
  }
}
