package io.verdier.verticles.http.routes;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import java.util.Locale;
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
    Type type = Type.valueOf(fields.word("embed_dtype").toUpperCase(Locale.ROOT));
    boolean big = fields.word("endianness").equals("big"); // native is little, whatever runs this
    ByteOrder order = big ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
    return fields.word("encoding_format").equals("base64") ? new VectorBytes(type, order) : null;
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
