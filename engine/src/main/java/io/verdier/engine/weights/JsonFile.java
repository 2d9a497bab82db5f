package io.verdier.engine.weights;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * JSON files of a model's directory as plain values. Stateless.
 *
 * <p>Not through an object mapper: loading its classes takes a third of a second in a cold JVM, and
 * these files are read before anything else can begin.
 */
public final class JsonFile {
  private static final int DEPTH_MAX = 64;
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(DEPTH_MAX).build())
          .build();

  private JsonFile() {}

  /** A parser that refuses duplicate names and deep nesting. */
  static JsonParser parser(byte[] json) throws IOException {
    return JSON.createParser(json);
  }

  /** What is wrong with a text, in one line without its content. */
  public static String reason(IOException e) {
    String text = e instanceof JacksonException j ? j.getOriginalMessage() : e.getMessage();
    return text == null ? "unreadable" : text.lines().findFirst().orElse("unreadable");
  }

  /**
   * Parses an object into {@link Map}, {@link List}, {@link String}, {@link Long}, {@link Double},
   * {@link Boolean} and null; key order is kept.
   *
   * @throws IOException if the text is anything but one JSON object; see {@link #reason}
   */
  public static Map<String, @Nullable Object> object(byte[] json) throws IOException {
    try (JsonParser parser = parser(json)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw new IOException("it must hold a JSON object");
      }
      Map<String, @Nullable Object> object = object(parser);
      if (parser.nextToken() != null) {
        throw new IOException("something follows its JSON object");
      }
      return object;
    }
  }

  /**
   * Parses an array into the same.
   *
   * @throws IOException if the text is anything but one JSON array; see {@link #reason}
   */
  public static List<@Nullable Object> array(byte[] json) throws IOException {
    try (JsonParser parser = parser(json)) {
      if (parser.nextToken() != JsonToken.START_ARRAY) {
        throw new IOException("it must hold a JSON array");
      }
      List<@Nullable Object> array = array(parser);
      if (parser.nextToken() != null) {
        throw new IOException("something follows its JSON array");
      }
      return array;
    }
  }

  private static List<@Nullable Object> array(JsonParser parser) throws IOException {
    List<@Nullable Object> array = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      array.add(value(parser));
    }
    return array;
  }

  private static Map<String, @Nullable Object> object(JsonParser parser) throws IOException {
    Map<String, @Nullable Object> object = new LinkedHashMap<>();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      parser.nextToken();
      object.put(name, value(parser));
    }
    return object;
  }

  private static @Nullable Object value(JsonParser parser) throws IOException {
    return switch (parser.currentToken()) {
      case START_OBJECT -> object(parser);
      case START_ARRAY -> array(parser);
      case VALUE_STRING -> parser.getText();
      case VALUE_NUMBER_INT ->
          parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
              ? (Object) parser.getDoubleValue()
              : (Object) parser.getLongValue();
      case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      case VALUE_NULL -> null;
      default -> throw new IOException("it ends in the middle of a value");
    };
  }
}
