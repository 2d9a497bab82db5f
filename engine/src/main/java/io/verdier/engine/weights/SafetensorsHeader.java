package io.verdier.engine.weights;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Parser of the JSON in front of a safetensors file. Stateless.
 *
 * <p>Read as a stream, not as a tree: a header may have 100 MiB, and a tree of it many times that.
 */
final class SafetensorsHeader {
  private static final String METADATA = "__metadata__";
  private static final int DIMENSIONS_MAX = 8;

  private final String fileName;
  private final JsonParser parser;

  private SafetensorsHeader(String fileName, JsonParser parser) {
    this.fileName = fileName;
    this.parser = parser;
  }

  /**
   * One tensor's description. {@code begin ≤ end}, and their difference is what shape and type
   * need.
   *
   * @param begin first byte, counted from the start of the data
   * @param end byte behind the last
   */
  record Entry(String name, DType dtype, long[] shape, long begin, long end) {}

  static List<Entry> parse(String fileName, byte[] json) {
    try (JsonParser parser = JsonFile.parser(json)) {
      return new SafetensorsHeader(fileName, parser).entries();
    } catch (IOException e) {
      throw new WeightsException(
          fileName + ": the header is not valid JSON (" + JsonFile.reason(e) + ").", e);
    }
  }

  private List<Entry> entries() throws IOException {
    expect(parser.nextToken(), JsonToken.START_OBJECT, "the header");
    List<Entry> entries = new ArrayList<>();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      if (name.equals(METADATA)) {
        expect(parser.nextToken(), JsonToken.START_OBJECT, METADATA);
        parser.skipChildren();
      } else {
        entries.add(entry(name));
      }
    }
    expect(parser.currentToken(), JsonToken.END_OBJECT, "the end of the header");
    if (parser.nextToken() != null) {
      throw new WeightsException(fileName + ": something follows the header's JSON object.");
    }
    return entries;
  }

  private Entry entry(String name) throws IOException {
    expect(parser.nextToken(), JsonToken.START_OBJECT, name);
    DType dtype = null;
    long[] shape = null;
    long[] offsets = null;
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      switch (key) {
        case "dtype" -> dtype = dtype(name);
        case "shape" -> shape = longs(name, key, DIMENSIONS_MAX);
        case "data_offsets" -> offsets = longs(name, key, 2);
        default -> throw new WeightsException(where(name) + "unknown key " + key + ".");
      }
    }
    expect(parser.currentToken(), JsonToken.END_OBJECT, name);
    if (dtype == null || shape == null || offsets == null || offsets.length != 2) {
      throw new WeightsException(where(name) + "needs dtype, shape and two data_offsets.");
    }
    long needed = byteSize(name, dtype, shape);
    if (offsets[0] > offsets[1] || offsets[1] - offsets[0] != needed) {
      throw new WeightsException(
          where(name)
              + "data_offsets "
              + Arrays.toString(offsets)
              + " do not span the "
              + needed
              + " bytes that "
              + dtype
              + " "
              + Arrays.toString(shape)
              + " needs.");
    }
    return new Entry(name, dtype, shape, offsets[0], offsets[1]);
  }

  private DType dtype(String name) throws IOException {
    expect(parser.currentToken(), JsonToken.VALUE_STRING, "dtype of " + name);
    String text = parser.getText();
    return DType.named(text)
        .orElseThrow(() -> new WeightsException(where(name) + "unknown dtype " + text + "."));
  }

  private long[] longs(String name, String key, int countMax) throws IOException {
    expect(parser.currentToken(), JsonToken.START_ARRAY, key + " of " + name);
    long[] values = new long[countMax];
    int count = 0;
    while (parser.nextToken() == JsonToken.VALUE_NUMBER_INT) {
      if (count == countMax) {
        throw new WeightsException(where(name) + key + " has more than " + countMax + " values.");
      }
      long value = parser.getLongValue();
      if (value < 0) {
        throw new WeightsException(where(name) + key + " holds " + value + "; it must be ≥ 0.");
      }
      values[count++] = value;
    }
    expect(parser.currentToken(), JsonToken.END_ARRAY, key + " of " + name);
    return Arrays.copyOf(values, count);
  }

  private long byteSize(String name, DType dtype, long[] shape) {
    try {
      long size = dtype.bytes();
      for (long length : shape) {
        size = Math.multiplyExact(size, length);
      }
      for (long length : shape) {
        Math.toIntExact(length);
      }
      return size;
    } catch (ArithmeticException e) {
      throw new WeightsException(
          where(name) + "shape " + Arrays.toString(shape) + " overflows.", e);
    }
  }

  private void expect(JsonToken actual, JsonToken expected, String what) {
    if (actual != expected) {
      throw new WeightsException(
          fileName + ": " + what + " should be " + expected + " but is " + actual + ".");
    }
  }

  private String where(String tensor) {
    return fileName + ": tensor " + tensor + ": ";
  }
}
