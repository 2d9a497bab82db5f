package io.verdier.engine.backend.cpu;

/**
 * How the C kernels hold weights; codes, sizes and layouts are those of {@code verdier.h}.
 * Immutable.
 */
public enum WeightFormat {
  /** bfloat16, 16 bits a weight; multiplied with bfloat16 inputs. */
  BF16(0, 2048, OperandFormat.BF16),
  /**
   * Bytes with a scale for each 32 columns of a row, 8.5 bits a weight; inputs are quantized to
   * bytes as they come.
   */
  INT8(1, 1088, OperandFormat.INT8),
  /** The same with 4 bits, 4.5 bits a weight. */
  INT4(2, 576, OperandFormat.INT8);

  /** Rows in a tile, and columns in a group. */
  static final int TILE_ROWS = 32;

  private final int code;
  private final int groupBytes;
  private final OperandFormat operand;

  WeightFormat(int code, int groupBytes, OperandFormat operand) {
    this.code = code;
    this.groupBytes = groupBytes;
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

  /** Bytes of a tile's group: 32 rows, 32 columns. */
  int groupBytes() {
    return groupBytes;
  }

  OperandFormat operand() {
    return operand;
  }
}
