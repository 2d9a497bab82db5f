package io.verdier.engine.backend.cpu;

/**
 * How the C kernels hold weights; codes, sizes and layouts are those of {@code verdier.h}.
 * Immutable.
 */
public enum WeightFormat {
  /** bfloat16, 16 bits a weight; multiplied with bfloat16 inputs. */
  BF16(0, 2048, 0, OperandFormat.BF16),
  /**
   * Bytes with a scale for each 256 columns of a row, 8.06 bits a weight; inputs are quantized to
   * bytes, by 256 columns too, as they come.
   */
  INT8(1, 1024, 64, OperandFormat.INT8),
  /** 4 bits, a factor for 32 columns and a scale for 256, 4.31 bits a weight; the same inputs. */
  INT4(2, 512, 320, OperandFormat.INT8);

  /** Rows in a tile, and columns in a group. */
  static final int TILE_ROWS = 32;

  private final int code;
  private final int groupBytes;
  private final int blockBytes;
  private final OperandFormat operand;

  /**
   * @param groupBytes of 32 rows and 32 columns
   * @param blockBytes that 32 rows and 256 columns, or what there are, take besides
   */
  WeightFormat(int code, int groupBytes, int blockBytes, OperandFormat operand) {
    this.code = code;
    this.groupBytes = groupBytes;
    this.blockBytes = blockBytes;
    this.operand = operand;
  }

  /** For people. */
  String words() {
    return switch (this) {
      case BF16 -> "bfloat16";
      case INT8 -> "int8";
      case INT4 -> "int4";
    };
  }

  long code() {
    return code;
  }

  /** Bytes of 32 rows. */
  long tileBytes(int columns) {
    int groups = operand.groups(columns);
    return (long) groups * groupBytes + (long) OperandFormat.blocks(groups) * blockBytes;
  }

  OperandFormat operand() {
    return operand;
  }
}
