package io.verdier.engine.weights;

import java.util.Optional;

/**
 * Element types of the safetensors format. All but the three float types are only ever skipped
 * over.
 */
public enum DType {
  BF16(2),
  F16(2),
  F32(4),
  F64(8),
  BOOL(1),
  U8(1),
  I8(1),
  F8_E4M3(1),
  F8_E5M2(1),
  U16(2),
  I16(2),
  U32(4),
  I32(4),
  U64(8),
  I64(8);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Size of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** As {@code config.json} and people write it, if a weight may have this type. */
  public String word() {
    return switch (this) {
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case F32 -> "float32";
      default -> name();
    };
  }

  /** Whether a model's weights may have this type. */
  public boolean isWeight() {
    return this == BF16 || this == F16 || this == F32;
  }

  static Optional<DType> named(String name) {
    for (DType type : values()) {
      if (type.name().equals(name)) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }
}
