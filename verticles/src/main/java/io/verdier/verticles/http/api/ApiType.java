package io.verdier.verticles.http.api;

import io.verdier.engine.sample.SamplingField;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Which JSON values a field takes: one of several shapes. Immutable.
 *
 * <p>It says what a value may look like; what else must hold (that a token id is in the vocabulary,
 * that a schema compiles) is its reader's to check.
 */
public record ApiType(List<Shape> shapes) {
  /** Kinds of JSON values. */
  public enum Kind {
    STRING("a string"),
    BOOL("true or false"),
    INT("a whole number"),
    NUMBER("a number"),
    CHOICE("one of"),
    STRINGS("a list of strings"),
    IDS("a list of token ids"),
    LIST("a list"),
    OBJECT("an object"),
    BIAS("an object of token ids and numbers"),
    ANY("anything");

    private final String text;

    Kind(String text) {
      this.text = text;
    }
  }

  /**
   * One kind, with its bounds.
   *
   * @param min of numbers; infinite where there is no bound
   * @param minIsOpen whether {@code min} itself is out of range
   * @param words of a choice, else empty
   */
  public record Shape(Kind kind, double min, boolean minIsOpen, double max, List<String> words) {
    public Shape {
      words = List.copyOf(words);
    }

    private static Shape of(Kind kind) {
      return new Shape(kind, Double.NEGATIVE_INFINITY, false, Double.POSITIVE_INFINITY, List.of());
    }

    private boolean fits(Object value) {
      return switch (kind) {
        case STRING -> value instanceof String;
        case BOOL -> value instanceof Boolean;
        case INT -> value instanceof Number number && isWhole(number) && has(number.doubleValue());
        case NUMBER -> value instanceof Number number && has(number.doubleValue());
        case CHOICE -> value instanceof String word && words.contains(word);
        case STRINGS ->
            value instanceof List<?> list && list.stream().allMatch(String.class::isInstance);
        case IDS -> value instanceof List<?> list && list.stream().allMatch(Long.class::isInstance);
        case LIST -> value instanceof List<?>;
        case OBJECT, BIAS -> value instanceof Map<?, ?>;
        case ANY -> true;
      };
    }

    private boolean isOfKind(Object value) {
      return switch (kind) {
        case CHOICE -> value instanceof String;
        case INT, NUMBER -> value instanceof Number;
        case STRINGS, IDS -> value instanceof List<?>;
        case STRING, BOOL, LIST, OBJECT, BIAS, ANY -> fits(value);
      };
    }

    /** Of 64 bits; as everywhere, 2.0 is one. */
    private static boolean isWhole(Number value) {
      return value instanceof Long
          || (value instanceof Double real && real == Math.rint(real) && Math.abs(real) < 0x1p63);
    }

    private boolean has(double value) {
      return (minIsOpen ? value > min : value >= min) && value <= max;
    }

    private String text() {
      return switch (kind) {
        case CHOICE -> String.join(", ", words);
        case INT, NUMBER -> kind.text + range();
        default -> kind.text;
      };
    }

    private String range() {
      boolean below = min > -Double.MAX_VALUE;
      boolean above = max < Double.MAX_VALUE;
      if (below && above) {
        return minIsOpen
            ? " above %s and at most %s".formatted(plain(min), plain(max))
            : " from %s to %s".formatted(plain(min), plain(max));
      }
      return below ? ", at least " + plain(min) : above ? ", at most " + plain(max) : "";
    }

    private Map<String, Object> schema() {
      Map<String, Object> schema = new LinkedHashMap<>();
      switch (kind) {
        case STRING -> schema.put("type", "string");
        case BOOL -> schema.put("type", "boolean");
        case INT, NUMBER -> {
          schema.put("type", kind == Kind.INT ? "integer" : "number");
          if (kind == Kind.INT) {
            schema.put("format", min < Integer.MIN_VALUE || isLong() ? "int64" : "int32");
          }
          bounds(schema);
        }
        case CHOICE -> {
          schema.put("type", "string");
          schema.put("enum", words);
        }
        case STRINGS -> list(schema, Map.of("type", "string"));
        case IDS -> list(schema, Map.of("type", "integer", "minimum", 0L));
        case LIST -> schema.put("type", "array");
        case OBJECT -> schema.put("type", "object");
        case BIAS -> {
          schema.put("type", "object");
          schema.put("additionalProperties", Map.of("type", "number"));
        }
        case ANY -> {}
      }
      return schema;
    }

    /** Whether it has bounds that only 64 bits hold; whole numbers without a bound have 32. */
    private boolean isLong() {
      return max > Integer.MAX_VALUE && max < Double.MAX_VALUE;
    }

    private static void list(Map<String, Object> schema, Map<String, Object> items) {
      schema.put("type", "array");
      schema.put("items", items);
    }

    private void bounds(Map<String, Object> schema) {
      if (min > -Double.MAX_VALUE) {
        schema.put(minIsOpen ? "exclusiveMinimum" : "minimum", number(min));
      }
      if (max < Double.MAX_VALUE) {
        schema.put("maximum", number(max));
      }
    }

    private static Object number(double value) {
      return value == Math.rint(value) ? (Object) (long) value : value;
    }

    private static String plain(double value) {
      return value == Math.rint(value)
          ? Long.toString(
              (long) value) // the bounds of 64 bits too, whatever a double makes of them
          : BigDecimal.valueOf(value).toPlainString();
    }
  }

  public ApiType {
    shapes = List.copyOf(shapes);
  }

  /** Reads a cell of the table. */
  static ApiType of(String cell, String name) {
    if (cell.equals("sampling")) {
      SamplingField field =
          SamplingField.named(name)
              .orElseThrow(() -> new IllegalArgumentException(name + " is no sampling field"));
      return new ApiType(List.of(sampling(field)));
    }
    List<Shape> shapes = new ArrayList<>();
    for (String part : cell.split(" or ")) {
      shapes.add(shape(part.strip()));
    }
    return new ApiType(shapes);
  }

  private static Shape sampling(SamplingField field) {
    return switch (field.kind()) {
      case NUMBER -> bounded(Kind.NUMBER, field.range());
      case INTEGER -> bounded(Kind.INT, field.range());
      case BOOLEAN -> Shape.of(Kind.BOOL);
      case TOKEN_IDS -> Shape.of(Kind.IDS);
      case STRINGS -> Shape.of(Kind.STRINGS);
      case BIAS -> Shape.of(Kind.BIAS);
      case SWITCH_OR_COUNT ->
          throw new IllegalArgumentException(field.apiName() + " differs by body: say its type");
    };
  }

  private static Shape bounded(Kind kind, SamplingField.Range range) {
    return new Shape(kind, range.min(), range.minIsOpen(), range.max(), List.of());
  }

  private static Shape shape(String part) {
    String[] words = part.split(" ", 2);
    Kind kind = Kind.valueOf(words[0].toUpperCase(Locale.ROOT));
    if (words.length == 1) {
      return Shape.of(kind);
    }
    if (kind == Kind.CHOICE) {
      Shape any = Shape.of(kind);
      List<String> choices = List.of(words[1].split(","));
      return new Shape(kind, any.min(), false, any.max(), choices);
    }
    int dots = words[1].indexOf("..");
    String max = words[1].substring(dots + 2);
    return new Shape(
        kind,
        Double.parseDouble(words[1].substring(0, dots)),
        false,
        max.isEmpty() ? Double.POSITIVE_INFINITY : Double.parseDouble(max),
        List.of());
  }

  /**
   * What a value means that is spelt as another type, as vLLM reads it: 256 for {@code "256"} and
   * {@code 256.0}, true for {@code "true"} and 1. What means nothing here stays, to be refused by
   * the name of its field.
   *
   * @param value of decoded JSON, not null
   */
  public Object meant(Object value) {
    return switch (value) {
      case Double real when has(Kind.INT) && !has(Kind.NUMBER) -> Spelling.whole(real);
      case String text when !isOfKind(text) -> meant(text);
      case Number number when has(Kind.BOOL) && !isOfKind(number) -> Spelling.truth(number);
      case List<?> list when has(Kind.IDS) -> Spelling.ids(list, has(Kind.LIST));
      default -> value;
    };
  }

  private Object meant(String text) {
    if (has(Kind.NUMBER) || has(Kind.INT)) {
      return Spelling.number(text, has(Kind.NUMBER));
    }
    return has(Kind.BOOL) ? Spelling.truth(text) : text;
  }

  private boolean has(Kind kind) {
    return shapes.stream().anyMatch(shape -> shape.kind() == kind);
  }

  /** Whether a value of decoded JSON, not null, has one of the shapes. */
  public boolean fits(Object value) {
    return shapes.stream().anyMatch(shape -> shape.fits(value));
  }

  /** Whether a value has a JSON type that the field takes, in whatever range. */
  public boolean isOfKind(Object value) {
    return shapes.stream().anyMatch(shape -> shape.isOfKind(value));
  }

  /** To end "it must be". */
  public String text() {
    return String.join(" or ", shapes.stream().map(Shape::text).toList());
  }

  /** As JSON schema. */
  Map<String, Object> schema() {
    return shapes.size() == 1
        ? shapes.getFirst().schema()
        : new LinkedHashMap<>(Map.of("anyOf", shapes.stream().map(Shape::schema).toList()));
  }

  /**
   * Says in a schema that {@link #schema} has made what is known of the fields of an object, or of
   * the objects of a list.
   *
   * @param required names of those that must be there
   */
  static void inside(
      Map<String, Object> schema, Map<String, Object> properties, List<String> required) {
    if (schema.get("anyOf") instanceof List<?> shapes) {
      for (Object shape : shapes) {
        @SuppressWarnings("unchecked") // made by schema
        Map<String, Object> one = (Map<String, Object>) shape;
        inside(one, properties, required);
      }
    } else if ("object".equals(schema.get("type"))) {
      fields(schema, properties, required);
    } else if ("array".equals(schema.get("type")) && !schema.containsKey("items")) {
      Map<String, Object> items = new LinkedHashMap<>(Map.of("type", "object"));
      fields(items, properties, required);
      schema.put("items", items);
    }
  }

  private static void fields(
      Map<String, Object> object, Map<String, Object> properties, List<String> required) {
    object.put("properties", properties);
    if (!required.isEmpty()) {
      object.put("required", required);
    }
  }
}
