package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Makes instances of a schema that are often valid. Owned by its test. */
final class TestInstances {
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private static final int DEPTH_MAX = 6;

  private static final Map<String, List<String>> FORMATS =
      Map.ofEntries(
          Map.entry("date", List.of("2024-02-29", "1999-12-31", "2023-06-30")),
          Map.entry("time", List.of("12:30:00Z", "23:59:59.123+02:00")),
          Map.entry("date-time", List.of("2024-02-29T12:30:00Z", "1985-04-12T23:20:50.52-07:00")),
          Map.entry("duration", List.of("P1D", "PT36H", "P4W", "P3Y6M4DT12H30M5S")),
          Map.entry("email", List.of("a@example.com", "joe.bloggs+x@mail.example.org")),
          Map.entry("hostname", List.of("example.com", "db-1.eu-west-1.aws.example.com")),
          Map.entry("ipv4", List.of("127.0.0.1", "255.255.255.0")),
          Map.entry("ipv6", List.of("::1", "2001:db8::ff00:42:8329", "1:2:3:4:5:6:7:8")),
          Map.entry("uuid", List.of("2eb8aa08-aa98-11ea-b4aa-73b441d16380")),
          Map.entry(
              "uri",
              List.of("https://example.com/a/b?c=d#e", "urn:isbn:0451450523", "mailto:a@b.org")),
          Map.entry("uri-reference", List.of("/a/b?c", "https://example.com", "x.html#top", "")),
          Map.entry("json-pointer", List.of("", "/a/0", "/a~1b/c")));

  private static final List<String> TEXTS =
      List.of(
          "",
          "a",
          "b",
          "ab",
          "foo",
          "a foo b",
          "hello world",
          "Élan 日本 😀",
          "tab\t\"quoted\"\\",
          "line\nbreak",
          "xyz",
          "SELECT 1",
          "1+2*(3)",
          "ABC",
          "GB",
          "USD",
          "555-1234",
          "abbc",
          "#00ff7F",
          "23:59",
          "INV-123456",
          "AB12CD",
          "12345",
          "12345-6789",
          "K1A 0B1",
          "1.2.3",
          "1.0.0-rc.1",
          "~1.2",
          "en",
          "en-US",
          "日本語",
          "my-file.json",
          "Anna",
          "abc-def-ghi",
          "aaaa",
          "abcdef",
          "ccc-12",
          "aaaaaaaaaaaa",
          "\u0001",
          "/slash",
          "xx",
          "1234567890123456",
          "123",
          "DE89370400440532013000",
          " \n",
          "bcd",
          "xxxxxxxxxx");

  private static final List<String> NAMES =
      List.of("zz", "S_a", "I_b", "ab", "axb", "new name", "ключ", "PATH", "n1", "q", "\"");

  private final JsonNode root;
  private final Random random;

  TestInstances(JsonNode root, Random random) {
    this.root = root;
    this.random = random;
  }

  @Nullable JsonNode next() {
    return make(List.of(root), 0);
  }

  /** All that hold, in the order in which the reader takes them. */
  private List<JsonNode> flat(List<JsonNode> schemas, int depth) {
    List<JsonNode> all = new ArrayList<>();
    for (JsonNode schema : schemas) {
      if (depth > 20) {
        continue;
      }
      if (schema.has("$ref")) {
        all.addAll(flat(List.of(target(schema.get("$ref").textValue())), depth + 1));
      }
      all.add(schema);
      schema.path("allOf").forEach(part -> all.addAll(flat(List.of(part), depth + 1)));
      for (String keyword : List.of("anyOf", "oneOf")) {
        JsonNode options = schema.path(keyword);
        if (!options.isEmpty()) {
          all.addAll(flat(List.of(options.get(random.nextInt(options.size()))), depth + 1));
        }
      }
      String branch = random.nextBoolean() ? "then" : "else";
      if (schema.has(branch)) {
        all.addAll(flat(List.of(schema.get(branch)), depth + 1));
      }
    }
    return all;
  }

  private JsonNode target(String reference) {
    if (!reference.startsWith("#/")) {
      return reference.equals("#") ? root : named(root, reference);
    }
    return root.at(reference.substring(1));
  }

  private static JsonNode named(JsonNode at, String reference) {
    String name = reference.substring(reference.indexOf('#') + 1);
    String last = name.substring(name.lastIndexOf('/') + 1);
    if (last.equals(at.path("$anchor").asText()) || last.equals(at.path("$id").asText())) {
      return at;
    }
    for (JsonNode part : at) {
      JsonNode found = named(part, reference);
      if (!found.isMissingNode()) {
        return found;
      }
    }
    return JSON.missingNode();
  }

  private @Nullable JsonNode make(List<JsonNode> schemas, int depth) {
    List<JsonNode> all = flat(schemas, 0);
    for (JsonNode schema : all) {
      if (schema.has("const")) {
        return schema.get("const");
      }
      JsonNode values = schema.path("enum");
      if (!values.isEmpty() && random.nextInt(20) != 0) {
        return values.get(random.nextInt(values.size()));
      }
    }
    return switch (type(all)) {
      case "null" -> JSON.nullNode();
      case "boolean" -> JSON.booleanNode(random.nextBoolean());
      case "integer" -> number(all, true);
      case "number" -> number(all, random.nextBoolean());
      case "string" -> JSON.textNode(string(all));
      case "array" -> depth > DEPTH_MAX ? JSON.arrayNode() : array(all, depth);
      default -> depth > DEPTH_MAX ? JSON.objectNode() : object(all, depth);
    };
  }

  private String type(List<JsonNode> all) {
    List<String> types = null;
    for (JsonNode schema : all) {
      JsonNode type = schema.path("type");
      List<String> here = new ArrayList<>();
      if (type.isTextual()) {
        here.add(type.textValue());
      } else {
        type.forEach(name -> here.add(name.textValue()));
      }
      if (!here.isEmpty()) {
        if (types == null) {
          types = here;
        } else {
          types.retainAll(here);
        }
      }
    }
    if (types == null || types.isEmpty()) {
      types = List.of("null", "boolean", "integer", "number", "string", "array", "object");
      boolean isObject = all.stream().anyMatch(s -> s.has("properties") || s.has("required"));
      return isObject ? "object" : types.get(random.nextInt(types.size()));
    }
    return types.get(random.nextInt(types.size()));
  }

  private JsonNode number(List<JsonNode> all, boolean isWhole) {
    BigDecimal from = null;
    BigDecimal to = null;
    BigDecimal step = isWhole ? BigDecimal.ONE : new BigDecimal("0.125");
    for (JsonNode schema : all) {
      for (String keyword : List.of("minimum", "exclusiveMinimum")) {
        if (schema.has(keyword)) {
          from = new BigDecimal(schema.get(keyword).asText());
        }
      }
      for (String keyword : List.of("maximum", "exclusiveMaximum")) {
        if (schema.has(keyword)) {
          to = new BigDecimal(schema.get(keyword).asText());
        }
      }
      if (schema.has("multipleOf")) {
        step = new BigDecimal(schema.get("multipleOf").asText());
      }
    }
    BigDecimal base = from != null ? from : to != null ? to : BigDecimal.ZERO;
    BigDecimal room = from != null && to != null ? to.subtract(from) : BigDecimal.valueOf(1000);
    BigDecimal[] parts = base.divideAndRemainder(step);
    BigDecimal start = base.subtract(parts[1]);
    long steps = room.divideToIntegralValue(step).min(BigDecimal.valueOf(5000)).longValue();
    long moved = steps <= 0 ? 0 : random.nextLong(steps + 2);
    BigDecimal value = start.add(step.multiply(BigDecimal.valueOf(from == null ? -moved : moved)));
    return JSON.numberNode(value.stripTrailingZeros().scale() <= 0 ? value.setScale(0) : value);
  }

  private String string(List<JsonNode> all) {
    for (JsonNode schema : all) {
      List<String> known = FORMATS.get(schema.path("format").asText());
      if (known != null) {
        return known.get(random.nextInt(known.size()));
      }
    }
    List<String> fitting = new ArrayList<>();
    for (String text : TEXTS) {
      boolean fits = true;
      for (JsonNode schema : all) {
        int length = text.codePointCount(0, text.length());
        fits &= length >= schema.path("minLength").asInt(0);
        fits &= length <= schema.path("maxLength").asInt(Integer.MAX_VALUE);
        String pattern = schema.path("pattern").asText();
        fits &= Pattern.compile(pattern).matcher(text).find();
      }
      if (fits) {
        fitting.add(text);
      }
    }
    return fitting.isEmpty() ? "" : fitting.get(random.nextInt(fitting.size()));
  }

  private @Nullable JsonNode array(List<JsonNode> all, int depth) {
    int min = 0;
    int max = 4;
    for (JsonNode schema : all) {
      min = Math.max(min, schema.path("minItems").asInt(0));
      max = Math.min(max, schema.path("maxItems").asInt(4));
    }
    ArrayNode array = JSON.arrayNode();
    int size = min + (max > min ? random.nextInt(max - min + 1) : 0);
    Set<JsonNode> seen = new LinkedHashSet<>();
    for (int i = 0; i < size; i++) {
      List<JsonNode> of = new ArrayList<>();
      for (JsonNode schema : all) {
        boolean isOld = schema.path("items").isArray();
        JsonNode prefix = schema.path(isOld ? "items" : "prefixItems");
        JsonNode rest = schema.path(isOld ? "additionalItems" : "items");
        JsonNode one = i < prefix.size() ? prefix.get(i) : rest;
        if (one.isBoolean() && !one.booleanValue()) {
          return array;
        }
        of.add(one);
      }
      JsonNode item = make(of, depth + 1);
      boolean isUnique = all.stream().anyMatch(s -> s.path("uniqueItems").asBoolean());
      if (item != null && (seen.add(item) || !isUnique)) {
        array.add(item);
      }
    }
    boolean isOrdered = all.stream().anyMatch(s -> s.path("uniqueItems").asBoolean());
    if (isOrdered) {
      List<JsonNode> sorted = new ArrayList<>(seen);
      sorted.sort((a, b) -> Integer.compare(a.asInt(), b.asInt()));
      ArrayNode ordered = JSON.arrayNode();
      sorted.forEach(ordered::add);
      return ordered;
    }
    return array;
  }

  private JsonNode object(List<JsonNode> all, int depth) {
    Set<String> declared = new LinkedHashSet<>();
    Set<String> required = new LinkedHashSet<>();
    for (JsonNode schema : all) {
      schema.path("properties").properties().forEach(e -> declared.add(e.getKey()));
      schema.path("required").forEach(name -> required.add(name.textValue()));
    }
    declared.addAll(required);
    for (JsonNode schema : all) {
      schema.path("propertyNames").path("enum").forEach(name -> declared.add(name.textValue()));
    }
    ObjectNode object = JSON.objectNode();
    for (String name : declared) {
      if (required.contains(name) || random.nextInt(depth + 2) == 0) {
        add(object, name, all, depth);
      }
    }
    for (int i = random.nextInt(3); i > 0; i--) {
      String name = NAMES.get(random.nextInt(NAMES.size()));
      boolean isOpen = all.stream().noneMatch(s -> isFalse(s, "additionalProperties"));
      if (!declared.contains(name) && (isOpen || name.contains("_"))) {
        add(object, name, all, depth);
      }
    }
    return object;
  }

  private static boolean isFalse(JsonNode schema, String keyword) {
    return schema.path(keyword).isBoolean() && !schema.path(keyword).booleanValue();
  }

  private void add(ObjectNode object, String name, List<JsonNode> all, int depth) {
    List<JsonNode> of = new ArrayList<>();
    for (JsonNode schema : all) {
      JsonNode own = schema.path("properties").path(name);
      boolean isTold = !own.isMissingNode();
      if (isTold) {
        of.add(own);
      }
      for (Map.Entry<String, JsonNode> pattern : schema.path("patternProperties").properties()) {
        if (Pattern.compile(pattern.getKey()).matcher(name).find()) {
          of.add(pattern.getValue());
          isTold = true;
        }
      }
      if (!isTold) {
        of.add(schema.path("additionalProperties"));
      }
    }
    JsonNode value = make(of, depth + 1);
    if (value != null) {
      object.set(name, value);
    }
  }
}
