package io.verdier.verticles.http.routes;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import org.jspecify.annotations.Nullable;

/** How the numbers of vectors become bytes, for base64. Immutable. */
record VectorBytes(Type type, ByteOrder order) {

  /** What a number is stored as. */
  enum Type {
    FLOAT32(Float.BYTES),
    FLOAT16(Short.BYTES),
    BFLOAT16(Short.BYTES);

    private final int bytes;

    Type(int bytes) {
      this.bytes = bytes;
    }
  }

  /** What the request wants; null: plain numbers. */
  static @Nullable VectorBytes read(Fields fields) {
    Type type =
        switch (fields.string("embed_dtype")) {
          case null -> Type.FLOAT32;
          case "float32" -> Type.FLOAT32;
          case "float16" -> Type.FLOAT16;
          case "bfloat16" -> Type.BFLOAT16;
          default ->
              throw fields.unsupported(
                  "embed_dtype", "only float32, float16 and bfloat16 are available.");
        };
    ByteOrder order =
        switch (fields.string("endianness")) {
          case null -> ByteOrder.LITTLE_ENDIAN;
          case "native", "little" -> ByteOrder.LITTLE_ENDIAN; // whatever runs the server
          case "big" -> ByteOrder.BIG_ENDIAN;
          default -> throw fields.wrong("endianness", "native, little or big");
        };
    String format = fields.string("encoding_format");
    if (format != null && !format.equals("float") && !format.equals("base64")) {
      throw fields.unsupported("encoding_format", "only float and base64 are available.");
    }
    return "base64".equals(format) ? new VectorBytes(type, order) : null;
  }

  /**
   * Vectors as base64 text.
   *
   * @param states hidden states that the form makes vectors of
   */
  String base64(VectorForm form, float[] states) {
    int count = form.count(states);
    ByteBuffer bytes = ByteBuffer.allocate(count * form.kept() * type.bytes).order(order);
    for (int i = 0; i < count; i++) {
      for (float value : form.vector(states, i)) {
        switch (type) {
          case FLOAT32 -> bytes.putFloat(value);
          case FLOAT16 -> bytes.putShort(Float.floatToFloat16(value));
          case BFLOAT16 -> bytes.putShort(bfloat16(value));
        }
      }
    }
    return Base64.getEncoder().encodeToString(bytes.array());
  }

  /** The nearest one, of two the even one; vectors are finite. */
  private static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7fff + (bits >>> Short.SIZE & 1)) >>> Short.SIZE);
  }
}
