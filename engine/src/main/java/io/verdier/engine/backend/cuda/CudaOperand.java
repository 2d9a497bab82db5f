package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Operand;

/**
 * What the matmul kernels read: bfloat16 in chunks of 64 columns, each chunk's rows one after the
 * other as 128 bytes, their sixteen-byte pieces permuted so that eight rows lie in different banks
 * (the hardware's 128-byte swizzle). Owned by the executor thread.
 *
 * <pre>
 *   [columns / 64][rowsPad][64]     piece p of row r lies at piece p xor (r mod 8)
 * </pre>
 *
 * Any run of rows of a chunk is one piece of memory that a kernel can fetch with a single bulk
 * copy.
 */
final class CudaOperand implements Operand {
  static final int CHUNK_COLUMNS = 64;

  /** The largest number of rows that a kernel reads at once, needed or not. */
  static final int ROWS_ALIGNED = 256;

  private final long address;
  private final int rowsMax;
  private final int columns;
  private int rows;

  CudaOperand(CudaDriver driver, int rowsMax, int columns) {
    this.rowsMax = rowsMax;
    this.columns = columns;
    this.rows = rowsMax;
    address = driver.allocate((long) paddedRows() * paddedColumns() * Short.BYTES);
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

  /** Rows begin at 0: kernels read whole groups of eight. */
  @Override
  public void select(int first, int count) {
    if (first != 0 || count < 0 || count > rowsMax) {
      throw new IndexOutOfBoundsException(first + " + " + count + " of " + rowsMax + " rows");
    }
    rows = count;
  }

  long address() {
    return address;
  }

  /** Rows of the storage, unused ones included. */
  int paddedRows() {
    return (rowsMax + ROWS_ALIGNED - 1) / ROWS_ALIGNED * ROWS_ALIGNED;
  }

  /** Columns of the storage; those beyond {@link #columns} are 0. */
  int paddedColumns() {
    return (columns + CHUNK_COLUMNS - 1) / CHUNK_COLUMNS * CHUNK_COLUMNS;
  }
}
