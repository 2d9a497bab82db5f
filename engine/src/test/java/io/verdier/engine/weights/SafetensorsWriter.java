package io.verdier.engine.weights;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** Writes small safetensors files for tests. */
public final class SafetensorsWriter {
  private final Map<String, String> entries = new LinkedHashMap<>();
  private final ByteArrayOutputStream data = new ByteArrayOutputStream();

  /** Adds a tensor; values are rounded to the type. */
  public SafetensorsWriter add(String name, DType type, float[] values, long... shape) {
    int begin = data.size();
    ByteBuffer bytes =
        ByteBuffer.allocate(values.length * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      switch (type) {
        case F32 -> bytes.putFloat(value);
        case BF16 -> bytes.putShort((short) (Float.floatToRawIntBits(value) >>> 16));
        case F16 -> bytes.putShort(Float.floatToFloat16(value));
        default -> throw new IllegalArgumentException(type.name());
      }
    }
    data.writeBytes(bytes.array());
    entries.put(
        name,
        "{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
            .formatted(type, Arrays.toString(shape), begin, data.size()));
    return this;
  }

  public byte[] bytes() {
    StringBuilder header = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
    entries.forEach((name, entry) -> header.append(",\"" + name + "\":" + entry));
    return file(header.append('}').toString(), data.toByteArray());
  }

  /** Any header in front of any data, with the right length between. */
  static byte[] file(String header, byte[] data) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(8 + json.length + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.length)
        .put(json)
        .put(data)
        .array();
  }
}
