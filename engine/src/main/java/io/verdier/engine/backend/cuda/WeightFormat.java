package io.verdier.engine.backend.cuda;

/** How a weight is kept on the device. */
public enum WeightFormat {
  BF16("bf16", 2),
  /** Eight bits (e4m3) and a scale by row. */
  FP8("fp8", 1),
  /** Integers of eight bits and a scale by row. */
  INT8("int8", 1);

  private final String label;
  private final int bytes;

  WeightFormat(String label, int bytes) {
    this.label = label;
    this.bytes = bytes;
  }

  /** As it stands in the kernels' names. */
  String label() {
    return label;
  }

  int bytes() {
    return bytes;
  }
}
