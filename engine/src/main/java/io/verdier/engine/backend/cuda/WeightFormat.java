package io.verdier.engine.backend.cuda;

import io.verdier.conf.ServerConfig;

/** How a weight is kept on the device. */
public enum WeightFormat {
  BF16("bf16", 2048),
  /** Eight bits (e4m3) and a scale by row. */
  FP8("fp8", 1024),
  /** Integers of eight bits and a scale by row. */
  INT8("int8", 1024),
  /** Integers of four bits and a bfloat16 scale for 64 columns of a row. */
  INT4("int4", 544);

  /** Rows and columns of what {@link #groupBytes} are the bytes of. */
  static final int GROUP_ROWS = 16;

  static final int GROUP_COLUMNS = 64;

  private final String label;
  private final int groupBytes;

  WeightFormat(String label, int groupBytes) {
    this.label = label;
    this.groupBytes = groupBytes;
  }

  /** What the configuration asks for. */
  static WeightFormat of(ServerConfig.Quantization quantization) {
    return switch (quantization) {
      case NONE -> BF16;
      case FP8 -> FP8;
      case INT8 -> INT8;
      case INT4 -> INT4;
    };
  }

  /** As it stands in the kernels' names. */
  String label() {
    return label;
  }

  /** Bytes of 16 rows by 64 columns. */
  int groupBytes() {
    return groupBytes;
  }

  /** In which the embedding and the output matrix are kept where others are kept in this. */
  WeightFormat ofVocabulary() {
    return this == INT4 ? INT8 : this;
  }
}
