package io.verdier.engine.backend.cpu;

/**
 * How the C kernels take their inputs; codes and sizes are those of {@code verdier.h}. Immutable.
 */
enum OperandFormat {
  /** bfloat16. */
  BF16(0, 32),
  /** Bytes, with a scale for each 256 of them and a sum for each 32. */
  INT8(1, 64);

  private static final int GROUP_COLUMNS = 32;
  private static final int BLOCK_GROUPS = 8;
  private static final int BF16_GROUP_BYTES = 64;
  private static final int INT8_BLOCK_BYTES = 320;

  private final int code;
  private final int unitColumns;

  /**
   * @param unitColumns what the number of columns is rounded up to
   */
  OperandFormat(int code, int unitColumns) {
    this.code = code;
    this.unitColumns = unitColumns;
  }

  long code() {
    return code;
  }

  /** Groups of 32 columns that so many columns take. */
  int groups(int columns) {
    return (columns + unitColumns - 1) / unitColumns * (unitColumns / GROUP_COLUMNS);
  }

  /** Blocks of 256 columns. */
  static int blocks(int groups) {
    return (groups + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
  }

  /** Bytes that a row takes. */
  long rowBytes(int columns) {
    int groups = groups(columns);
    return switch (this) {
      case BF16 -> (long) groups * BF16_GROUP_BYTES;
      case INT8 -> (long) blocks(groups) * INT8_BLOCK_BYTES;
    };
  }
}
