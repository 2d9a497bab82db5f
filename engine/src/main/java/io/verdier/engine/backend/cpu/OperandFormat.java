package io.verdier.engine.backend.cpu;

/** How the C kernels take their inputs; codes are those of {@code verdier.h}. Immutable. */
enum OperandFormat {
  /** bfloat16. */
  BF16(0, 64),
  /** Bytes, with a scale and a sum for each 32 of them. */
  INT8(1, 40);

  private final int code;
  private final int groupBytes;

  OperandFormat(int code, int groupBytes) {
    this.code = code;
    this.groupBytes = groupBytes;
  }

  long code() {
    return code;
  }

  /** Bytes of 32 columns of a row. */
  int groupBytes() {
    return groupBytes;
  }
}
