package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Backend;

/**
 * A weight matrix in device memory, in tiles of 16 by 16 in the order of a tensor core's registers
 * ({@code matmul.cu} draws them). Immutable.
 *
 * @param rows of the matrix
 * @param packedRows the same as they lie in memory: pairs of eight may be filled up
 * @param address of the tiles
 * @param scales one float32 a row, 0 where weights are what they are
 * @param biases one float32 a row, 0 for none
 */
record CudaMatrix(
    int rows,
    int packedRows,
    int columns,
    WeightFormat format,
    RowOrder order,
    long address,
    long scales,
    long biases)
    implements Backend.Matrix {
  private static final int ROWS_ALIGNED = 64;
  private static final int COLUMNS_ALIGNED = 64;
  private static final int PAIR_ROWS = 8;

  /** Which row lies where. */
  enum RowOrder {
    /** One after the other. */
    PLAIN,
    /** Eight rows of the first half, the eight of the second half that go with them, and so on. */
    PAIRED
  }

  /** Bytes of the tiles. */
  static long bytes(int rows, int columns, WeightFormat format) {
    long groups =
        (long) (paddedRows(rows) / WeightFormat.GROUP_ROWS)
            * (paddedColumns(columns) / WeightFormat.GROUP_COLUMNS);
    return groups * format.groupBytes();
  }

  @Override
  public long bytes() {
    return bytes(packedRows, columns, format);
  }

  static int paddedRows(int rows) {
    return (rows + ROWS_ALIGNED - 1) / ROWS_ALIGNED * ROWS_ALIGNED;
  }

  static int paddedColumns(int columns) {
    return (columns + COLUMNS_ALIGNED - 1) / COLUMNS_ALIGNED * COLUMNS_ALIGNED;
  }

  /** Rows that {@link RowOrder#PAIRED} takes for two parts of so many. */
  static int pairedRows(int rows) {
    return (rows + PAIR_ROWS - 1) / PAIR_ROWS * PAIR_ROWS * 2;
  }

  /**
   * Where a row of a paired part lies.
   *
   * @param part 0 or 1
   */
  static int pairedRow(int row, int part) {
    return row / PAIR_ROWS * 2 * PAIR_ROWS + part * PAIR_ROWS + row % PAIR_ROWS;
  }
}
