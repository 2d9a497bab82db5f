package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.grammar.RegexParser.Extent;
import io.verdier.engine.grammar.SchemaLogic.Fact;
import io.verdier.engine.grammar.SchemaLogic.Signed;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * The keywords that speak of a value itself (JSON Schema Validation 2020-12, section 6, and Core,
 * section 10.3), as facts. Owned by the compiling thread.
 */
final class SchemaKeywords {
  /** Of an enum; each takes a state or more. */
  private static final int VALUES_MAX = 20_000;

  /** More is taken for it. */
  private static final int COUNT_MAX = 1_000_000_000;

  private static final int UNBOUNDED = Expression.Repeat.UNBOUNDED;

  private final SchemaDocument document;
  private final ContainerKeywords containers;
  private final Budget budget;

  SchemaKeywords(SchemaDocument document, Budget budget) {
    this.document = document;
    this.budget = budget;
    containers = new ContainerKeywords(document, this);
  }

  /** Adds a fact for each keyword that a schema has. */
  void addTo(List<Fact> facts, SchemaNode schema) {
    if (schema.has("type")) {
      facts.add(type(schema));
    }
    if (schema.has("enum")) {
      if (!schema.get("enum").isArray()) {
        throw schema.error("enum", "a list of values is needed");
      }
      if (schema.get("enum").size() > VALUES_MAX) {
        throw schema.error("enum", "more than " + VALUES_MAX + " values");
      }
      facts.add(values(schema, "enum", schema.get("enum")));
    }
    if (schema.has("const")) {
      facts.add(values(schema, "const", List.of(schema.get("const"))));
    }
    addNumbers(facts, schema);
    addStrings(facts, schema);
    containers.addTo(facts, schema);
  }

  private static Fact type(SchemaNode schema) {
    JsonNode type = schema.get("type");
    List<String> names = new ArrayList<>();
    if (type.isTextual()) {
      names.add(type.textValue());
    } else {
      type.forEach(name -> names.add(name.asText()));
      if (!type.isArray()) {
        throw schema.error("type", "the name of a type is needed, or a list of them");
      }
    }
    if (schema.get("nullable").asBoolean()) {
      names.add("null"); // OpenAPI 3.0
    }
    Kinds is = Kinds.NONE;
    Kinds not = Kinds.ANY;
    for (String name : names) {
      is = added(is, name, schema);
      not = removed(not, name);
    }
    if (names.contains("integer") && !names.contains("number")) {
      not = not.with(NumberFacts.not(NumberFacts.INTEGER));
    }
    Kinds others = not;
    return new Fact(is.isNone() ? List.of() : List.of(is), () -> List.of(others));
  }

  private static Kinds added(Kinds kinds, String type, SchemaNode schema) {
    return switch (type) {
      case "null" -> kinds.withLiterals(true, kinds.hasTrue(), kinds.hasFalse());
      case "boolean" -> kinds.withLiterals(kinds.hasNull(), true, true);
      case "number" -> kinds.with(NumberFacts.ANY);
      case "integer" -> kinds.number() == null ? kinds.with(NumberFacts.INTEGER) : kinds;
      case "string" -> kinds.with(StringFacts.ANY);
      case "array" -> kinds.with(ArrayFacts.ANY);
      case "object" -> kinds.with(ObjectFacts.ANY);
      default ->
          throw schema.error(
              "type",
              "there is no such type; those of JSON are null, boolean, number, integer,"
                  + " string, array and object");
    };
  }

  private static Kinds removed(Kinds kinds, String type) {
    NumberFacts number = type.equals("number") ? null : kinds.number();
    StringFacts string = type.equals("string") ? null : kinds.string();
    ArrayFacts array = type.equals("array") ? null : kinds.array();
    ObjectFacts object = type.equals("object") ? null : kinds.object();
    boolean hasNull = kinds.hasNull() && !type.equals("null");
    boolean isBoolean = type.equals("boolean");
    return new Kinds(
        hasNull,
        kinds.hasTrue() && !isBoolean,
        kinds.hasFalse() && !isBoolean,
        number,
        string,
        array,
        object);
  }

  private Fact values(SchemaNode schema, String keyword, Iterable<JsonNode> values) {
    Kinds literals = Kinds.NONE;
    Set<BigDecimal> numbers = new LinkedHashSet<>();
    Set<String> strings = new LinkedHashSet<>();
    List<Kinds> any = new ArrayList<>();
    for (JsonNode value : values) {
      switch (value.getNodeType()) {
        case NULL ->
            literals = literals.withLiterals(true, literals.hasTrue(), literals.hasFalse());
        case BOOLEAN ->
            literals =
                literals.withLiterals(
                    literals.hasNull(),
                    literals.hasTrue() || value.booleanValue(),
                    literals.hasFalse() || !value.booleanValue());
        case NUMBER -> numbers.add(number(schema, keyword, value));
        case STRING -> strings.add(value.textValue());
        default -> any.add(containers.constant(value, schema.path() + "/" + keyword));
      }
    }
    Kinds scalars = numbers.isEmpty() ? literals : literals.with(NumberFacts.of(numbers));
    scalars = strings.isEmpty() ? scalars : scalars.with(StringFacts.of(strings));
    if (!scalars.isNone()) {
      any.addFirst(scalars);
    }
    Kinds listed = scalars;
    return new Fact(any, () -> List.of(others(schema, keyword, listed, any)));
  }

  private static Kinds others(SchemaNode schema, String keyword, Kinds listed, List<Kinds> any) {
    Kinds others = Kinds.ANY.withLiterals(!listed.hasNull(), !listed.hasTrue(), !listed.hasFalse());
    if (listed.number() != null) {
      others = others.with(NumberFacts.not(listed.number()));
    }
    if (listed.string() != null) {
      others = others.with(StringFacts.not(listed.string()));
    }
    String refusal = refusal(schema, keyword);
    if (any.stream().anyMatch(kinds -> kinds.array() != null)) {
      others = others.with(ArrayFacts.refused(refusal));
    }
    if (any.stream().anyMatch(kinds -> kinds.object() != null)) {
      others = others.with(ObjectFacts.refused(refusal));
    }
    return others;
  }

  private void addNumbers(List<Fact> facts, SchemaNode schema) {
    for (String keyword : List.of("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")) {
      if (schema.has(keyword)) {
        boolean isStrict = keyword.startsWith("exclusive");
        if (isStrict && schema.get(keyword).isBoolean()) {
          throw schema.error(keyword, "it is a number since draft 6, and no longer true or false");
        }
        BigDecimal bound = number(schema, keyword, schema.get(keyword));
        boolean isMin = keyword.endsWith("inimum");
        NumberFacts holds =
            isMin ? NumberFacts.from(bound, isStrict) : NumberFacts.to(bound, isStrict);
        NumberFacts fails =
            isMin ? NumberFacts.to(bound, !isStrict) : NumberFacts.from(bound, !isStrict);
        facts.add(fact(Kinds.ANY.with(holds), Kinds.NONE.with(fails)));
      }
    }
    if (schema.has("multipleOf")) {
      BigDecimal divider = number(schema, "multipleOf", schema.get("multipleOf"));
      if (divider.signum() <= 0) {
        throw schema.error("multipleOf", "a number above zero is needed");
      }
      NumberFacts holds = NumberFacts.multipleOf(divider);
      facts.add(fact(Kinds.ANY.with(holds), Kinds.NONE.with(NumberFacts.not(holds))));
    }
  }

  private static BigDecimal number(SchemaNode schema, String keyword, JsonNode value) {
    if (!value.isNumber()) {
      throw schema.error(keyword, "a number is needed");
    }
    BigDecimal number = value.decimalValue();
    if (Math.abs((long) number.scale()) > 400 || number.precision() > 400) {
      throw schema.error(keyword, "numbers beyond 400 digits are not supported");
    }
    BigDecimal stripped = number.stripTrailingZeros();
    return stripped.scale() < 0 ? stripped.setScale(0) : stripped;
  }

  private void addStrings(List<Fact> facts, SchemaNode schema) {
    if (schema.has("minLength")) {
      int min = count(schema, "minLength");
      facts.add(
          fact(
              Kinds.ANY.with(StringFacts.ofLength(min, UNBOUNDED)),
              min == 0 ? Kinds.NONE : Kinds.NONE.with(StringFacts.ofLength(0, min - 1))));
    }
    if (schema.has("maxLength")) {
      int max = count(schema, "maxLength");
      facts.add(
          fact(
              Kinds.ANY.with(StringFacts.ofLength(0, max)),
              max == UNBOUNDED
                  ? Kinds.NONE
                  : Kinds.NONE.with(StringFacts.ofLength(max + 1, UNBOUNDED))));
    }
    if (schema.has("pattern")) {
      facts.add(matching(pattern(schema, "pattern", schema.get("pattern").asText())));
    }
    if (schema.get("format").isTextual()) {
      Expression format = JsonFormats.of(schema.get("format").textValue());
      if (format != null) {
        facts.add(matching(format));
      }
    }
  }

  private static Fact matching(Expression texts) {
    StringFacts holds = StringFacts.matching(texts);
    return fact(Kinds.ANY.with(holds), Kinds.NONE.with(StringFacts.not(holds)));
  }

  /** What a pattern matches, or matches a part of. */
  Expression pattern(SchemaNode schema, String keyword, String pattern) {
    try {
      return RegexParser.parse(pattern, Extent.PART, budget);
    } catch (GrammarException malformed) {
      throw schema.error(keyword, String.valueOf(malformed.getMessage()));
    }
  }

  static Fact fact(Kinds holds, Kinds fails) {
    return fact(holds, () -> fails.isNone() ? List.of() : List.of(fails));
  }

  static Fact fact(Kinds holds, Supplier<List<Kinds>> fails) {
    return new Fact(List.of(holds), fails);
  }

  /** A number of characters, items or properties. */
  int count(SchemaNode schema, String keyword) {
    JsonNode value = schema.get(keyword);
    BigDecimal count = number(schema, keyword, value);
    if (count.signum() < 0 || count.scale() > 0) {
      throw schema.error(keyword, "an integer from 0 on is needed");
    }
    boolean isHuge = count.compareTo(BigDecimal.valueOf(COUNT_MAX)) > 0;
    if (isHuge && keyword.startsWith("min")) {
      throw schema.error(keyword, "at most " + COUNT_MAX + " is supported");
    }
    return isHuge ? UNBOUNDED : count.intValueExact();
  }

  /** The schemas in a list. */
  List<SchemaNode> schemas(SchemaNode schema, String keyword) {
    JsonNode list = schema.get(keyword);
    if (list.isMissingNode()) {
      return List.of();
    }
    if (!list.isArray() || list.isEmpty()) {
      throw schema.error(keyword, "a list of schemas is needed");
    }
    List<SchemaNode> schemas = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      schemas.add(document.child(schema, list.get(i), keyword, Integer.toString(i)));
    }
    return schemas;
  }

  static String refusal(SchemaNode schema, String keyword) {
    return "the JSON schema, "
        + schema.path()
        + "/"
        + keyword
        + ": it cannot be negated, as not, oneOf or if ask for. Where the options of a oneOf cannot"
        + " both match, use anyOf.";
  }

  void refuseToNegate(SchemaNode schema, String keyword) {
    if (schema.has(keyword)) {
      throw new GrammarException(refusal(schema, keyword));
    }
  }

  Kinds withoutUnevaluated(SchemaNode schema, Kinds kinds) {
    return containers.withoutUnevaluated(schema, kinds);
  }

  /** Schemas by names. */
  Map<String, Signed> named(SchemaNode schema, String keyword) {
    return containers.named(schema, keyword);
  }
}
