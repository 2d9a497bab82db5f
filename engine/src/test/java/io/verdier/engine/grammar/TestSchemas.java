package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Schemas of tests: written ones, and families with a parameter. Stateless. */
final class TestSchemas {
  static final List<String> FILES = List.of("tools", "models", "openapi", "logic", "scalars");
  private static final ObjectMapper JSON = new ObjectMapper();

  private TestSchemas() {}

  /** The usual one, with time for a machine that is busy with other things. */
  static Budget budget() {
    Budget.Limits usual = Budget.Limits.defaults();
    return new Budget(usual.within(30 * usual.nanos()), System::nanoTime);
  }

  static List<String> all() {
    List<String> all = new ArrayList<>();
    FILES.forEach(file -> written(file).forEach(schema -> all.add(schema.toString())));
    addFamilies(all);
    return all;
  }

  static JsonNode written(String file) {
    String name = "/schemas/" + file + ".json";
    try (InputStream in =
        Objects.requireNonNull(TestSchemas.class.getResourceAsStream(name), name)) {
      return JSON.readTree(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void addFamilies(List<String> all) {
    String[] types = {"string", "integer", "number", "boolean", "null", "array", "object"};
    for (int i = 0; i < types.length; i++) {
      for (int j = 0; j < i; j++) { // 21
        all.add(json("{'type': ['%s', '%s']}".formatted(types[i], types[j])));
        if (types[i].equals("number") && types[j].equals("integer")) {
          continue; // one of them is the other
        }
        all.add(json("{'oneOf': [{'type': '%s'}, {'type': '%s'}]}".formatted(types[i], types[j])));
      }
    }
    for (int i = 0; i < 14; i++) {
      int low = (i * 37 - 200) * (i % 3 == 0 ? 1 : 13);
      all.add(
          json(
              "{'type': 'integer', 'minimum': %d, 'maximum': %d}".formatted(low, low + i * i * i)));
      all.add(
          json(
              "{'type': 'number', 'minimum': %d.%d, 'exclusiveMaximum': %d.5}"
                  .formatted(low, i, low + 9)));
      all.add(json("{'type': 'integer', 'multipleOf': %d, 'minimum': %d}".formatted(i + 1, low)));
      all.add(json("{'type': 'string', 'minLength': %d, 'maxLength': %d}".formatted(i, i * 2)));
      all.add(
          json("{'type': 'string', 'pattern': '^[a-f]{%d,%d}(-[0-9]+)?$'}".formatted(i, i + 3)));
      all.add(json("{'type': 'array', 'items': {'type': 'integer'}, 'minItems': %d}".formatted(i)));
    }
    for (int i = 1; i <= 12; i++) {
      all.add(object(i, i / 2, false));
      all.add(object(i, 0, true));
      all.add(nested(i));
    }
  }

  private static String json(String text) {
    return text.replace('\'', '"');
  }

  /** Properties of which some are required. */
  static String object(int count, int required, boolean isOpen) {
    StringBuilder properties = new StringBuilder();
    StringBuilder names = new StringBuilder();
    String[] values = {
      "{'type': 'string'}", "{'type': 'integer'}", "{'enum': ['a', 'b']}", "{'type': 'boolean'}"
    };
    for (int i = 0; i < count; i++) {
      properties.append(i == 0 ? "" : ",").append("'p").append(i).append("': ");
      properties.append(values[i % values.length]);
      if (i % 2 == 1 && i / 2 < required) {
        names.append(names.isEmpty() ? "" : ",").append("'p").append(i).append('\'');
      }
    }
    return ("{'type': 'object', 'properties': {"
            + properties
            + "}, 'required': ["
            + names
            + "], 'additionalProperties': "
            + isOpen
            + "}")
        .replace('\'', '"');
  }

  private static String nested(int depth) {
    String inner = "{'type': 'integer'}";
    for (int i = 0; i < depth; i++) {
      inner =
          i % 2 == 0
              ? "{'type': 'array', 'items': " + inner + ", 'maxItems': 2}"
              : "{'type': 'object', 'properties': {'n': "
                  + inner
                  + "}, 'required': ['n'], 'additionalProperties': false}";
    }
    return inner.replace('\'', '"');
  }
}
