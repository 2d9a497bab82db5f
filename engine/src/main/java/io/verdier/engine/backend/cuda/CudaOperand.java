package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.RowWindow;

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
final class CudaOperand extends RowWindow implements Operand {
  static final int CHUNK_COLUMNS = 64;

  /** The largest number of rows that a kernel reads at once, needed or not. */
  static final int ROWS_ALIGNED = 256;

  private final long address;

  CudaOperand(CudaDriver driver, int rowsMax, int columns) {
    super(rowsMax, columns);
    address = driver.allocate((long) paddedRows() * paddedColumns() * Short.BYTES);
  }

  /** Rows begin at 0: kernels read whole groups of eight. */
  @Override
  public void select(int first, int count) {
    if (first != 0) {
      throw new IndexOutOfBoundsException("an operand's rows begin at 0, not at " + first);
    }
    super.select(first, count);
  }

  long address() {
    return address;
  }

  /** Rows of the storage, unused ones included. */
  int paddedRows() {
    return (rowsMax() + ROWS_ALIGNED - 1) / ROWS_ALIGNED * ROWS_ALIGNED;
  }

  /** Columns of the storage; those beyond {@link #columns} are 0. */
  int paddedColumns() {
    return (columns() + CHUNK_COLUMNS - 1) / CHUNK_COLUMNS * CHUNK_COLUMNS;
  }
}
