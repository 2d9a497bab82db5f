package io.verdier.engine.grammar;

import static io.verdier.engine.grammar.SchemaKeywords.fact;
import static io.verdier.engine.grammar.SchemaKeywords.refusal;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.verdier.engine.grammar.SchemaLogic.Fact;
import io.verdier.engine.grammar.SchemaLogic.Signed;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The keywords that speak of items and properties, as facts. Owned by the compiling thread. */
final class ContainerKeywords {
  private static final int UNBOUNDED = Expression.Repeat.UNBOUNDED;
  private static final Signed TRUE = new Signed(new SchemaNode(BooleanNode.TRUE, "true"));
  private static final Signed FALSE = new Signed(new SchemaNode(BooleanNode.FALSE, "false"));

  private final SchemaDocument document;
  private final SchemaKeywords keywords;

  ContainerKeywords(SchemaDocument document, SchemaKeywords keywords) {
    this.document = document;
    this.keywords = keywords;
  }

  void addTo(List<Fact> facts, SchemaNode schema) {
    addItems(facts, schema);
    addProperties(facts, schema);
    addRequired(facts, schema);
    for (String keyword : List.of("$dynamicRef", "$recursiveRef")) {
      if (schema.has(keyword)) {
        throw schema.error(keyword, "it is not supported; use $ref");
      }
    }
  }

  /** The one value, whatever it is made of. */
  Kinds constant(JsonNode value, String path) {
    if (value.isArray()) {
      List<Signed> items = new ArrayList<>();
      value.forEach(item -> items.add(constantSchema(item, path)));
      ArrayFacts.Unit unit = ArrayFacts.Unit.ofConstant(items);
      ArrayFacts length = ArrayFacts.ofLength(items.size(), items.size());
      return Kinds.NONE.with(ArrayFacts.of(unit).and(length));
    }
    Map<String, Signed> properties = new LinkedHashMap<>();
    value.properties().forEach(e -> properties.put(e.getKey(), constantSchema(e.getValue(), path)));
    ObjectFacts.Unit unit = ObjectFacts.Unit.ofConstant(properties, FALSE);
    ObjectFacts all = ObjectFacts.requiring(new LinkedHashSet<>(properties.keySet()));
    return Kinds.NONE.with(ObjectFacts.of(unit).and(all));
  }

  private static Signed constantSchema(JsonNode value, String path) {
    JsonNode schema = JsonNodeFactory.instance.objectNode().set("const", value);
    return new Signed(new SchemaNode(schema, path));
  }

  private void addItems(List<Fact> facts, SchemaNode schema) {
    boolean isList = schema.get("items").isArray(); // up to draft 2019-09
    String prefixKeyword = isList ? "items" : "prefixItems";
    String restKeyword = isList ? "additionalItems" : "items";
    List<Signed> prefix =
        schema.get(prefixKeyword).isEmpty() && schema.get(prefixKeyword).isArray()
            ? List.of()
            : keywords.schemas(schema, prefixKeyword).stream().map(Signed::new).toList();
    Signed rest =
        schema.has(restKeyword)
            ? new Signed(document.child(schema, schema.get(restKeyword), restKeyword))
            : null;
    if (!prefix.isEmpty() || rest != null) {
      Kinds fails =
          prefix.stream().allMatch(Signed::isTrue) && (rest == null || rest.isTrue())
              ? Kinds.NONE
              : Kinds.NONE.with(ArrayFacts.refused(refusal(schema, restKeyword)));
      ArrayFacts items = ArrayFacts.of(new ArrayFacts.Unit(prefix, rest));
      facts.add(fact(Kinds.ANY.with(items), fails));
    }
    if (schema.has("minItems")) {
      int min = keywords.count(schema, "minItems");
      facts.add(
          fact(
              Kinds.ANY.with(ArrayFacts.ofLength(min, UNBOUNDED)),
              min == 0 ? Kinds.NONE : Kinds.NONE.with(ArrayFacts.ofLength(0, min - 1))));
    }
    if (schema.has("maxItems")) {
      int max = keywords.count(schema, "maxItems");
      Kinds more =
          max == UNBOUNDED ? Kinds.NONE : Kinds.NONE.with(ArrayFacts.ofLength(max + 1, UNBOUNDED));
      facts.add(fact(Kinds.ANY.with(ArrayFacts.ofLength(0, max)), more));
    }
    if (schema.get("uniqueItems").asBoolean()) {
      facts.add(
          fact(
              Kinds.ANY.with(ArrayFacts.unique(schema.path() + "/uniqueItems")),
              Kinds.NONE.with(ArrayFacts.refused(refusal(schema, "uniqueItems")))));
    }
    if (schema.has("contains")) {
      ArrayFacts refused =
          ArrayFacts.refused(
              String.valueOf(schema.error("contains", "it is not supported").getMessage()));
      facts.add(fact(Kinds.ANY.with(refused), Kinds.NONE.with(refused)));
    }
  }

  private void addProperties(List<Fact> facts, SchemaNode schema) {
    Map<String, Signed> properties = named(schema, "properties");
    List<ObjectFacts.Pattern> patterns = new ArrayList<>();
    named(schema, "patternProperties")
        .forEach(
            (pattern, value) ->
                patterns.add(
                    new ObjectFacts.Pattern(
                        keywords.pattern(schema, "patternProperties", pattern), value)));
    Signed additional =
        schema.has("additionalProperties")
            ? new Signed(
                document.child(schema, schema.get("additionalProperties"), "additionalProperties"))
            : null;
    if (properties.isEmpty() && patterns.isEmpty() && additional == null) {
      return;
    }
    ObjectFacts.Unit unit = new ObjectFacts.Unit(properties, patterns, additional);
    facts.add(fact(Kinds.ANY.with(ObjectFacts.of(unit)), () -> otherProperties(schema, unit)));
  }

  private List<Kinds> otherProperties(SchemaNode schema, ObjectFacts.Unit unit) {
    List<Kinds> any = new ArrayList<>();
    Set<String> required = names(schema, "required");
    unit.properties.forEach(
        (name, value) -> {
          if (!value.isTrue()) {
            Signed other = new Signed(value.schema(), !value.holds());
            ObjectFacts is =
                ObjectFacts.of(new ObjectFacts.Unit(Map.of(name, other), List.of(), null));
            ObjectFacts has = ObjectFacts.requiring(Set.of(name));
            // One that is required may as well be missing: then `required` fails.
            any.add(Kinds.NONE.with(required.contains(name) ? is : is.and(has)));
          }
        });
    Signed additional = unit.additional;
    if (!unit.patterns.isEmpty()) {
      String refusal = refusal(schema, "patternProperties");
      any.add(Kinds.NONE.with(ObjectFacts.refused(refusal)));
    } else if (additional != null && additional.isFalse()) {
      any.add(Kinds.NONE.with(ObjectFacts.beside(unit.properties.keySet())));
    } else if (additional != null && !additional.isTrue()) {
      String refusal = refusal(schema, "additionalProperties");
      any.add(Kinds.NONE.with(ObjectFacts.refused(refusal)));
    }
    return any;
  }

  /** Schemas by names. */
  Map<String, Signed> named(SchemaNode schema, String keyword) {
    JsonNode parts = schema.get(keyword);
    if (!parts.isMissingNode() && !parts.isObject()) {
      throw schema.error(keyword, "an object of schemas is needed");
    }
    Map<String, Signed> named = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> field : parts.properties()) {
      SchemaNode value = document.child(schema, field.getValue(), keyword, field.getKey());
      named.put(field.getKey(), new Signed(value));
    }
    return named;
  }

  private void addRequired(List<Fact> facts, SchemaNode schema) {
    if (schema.has("required")) {
      Set<String> names = names(schema, "required");
      if (!names.isEmpty()) {
        facts.add(fact(Kinds.ANY.with(ObjectFacts.requiring(names)), () -> lacking(schema, names)));
      }
    }
    for (String keyword : List.of("dependentRequired", "dependencies")) {
      schema
          .get(keyword)
          .properties()
          .forEach(
              entry -> {
                if (entry.getValue().isArray() || keyword.equals("dependentRequired")) {
                  facts.add(dependent(entry.getKey(), names(schema, keyword, entry.getValue())));
                }
              });
    }
    if (schema.has("minProperties")) {
      int min = keywords.count(schema, "minProperties");
      facts.add(
          fact(
              Kinds.ANY.with(ObjectFacts.ofSize(min, UNBOUNDED)),
              min == 0 ? Kinds.NONE : Kinds.NONE.with(ObjectFacts.ofSize(0, min - 1))));
    }
    if (schema.has("maxProperties")) {
      int max = keywords.count(schema, "maxProperties");
      Kinds more =
          max == UNBOUNDED ? Kinds.NONE : Kinds.NONE.with(ObjectFacts.ofSize(max + 1, UNBOUNDED));
      facts.add(fact(Kinds.ANY.with(ObjectFacts.ofSize(0, max)), more));
    }
    if (schema.has("propertyNames")) {
      Signed names =
          new Signed(document.child(schema, schema.get("propertyNames"), "propertyNames"));
      Kinds fails =
          names.isTrue()
              ? Kinds.NONE
              : Kinds.NONE.with(ObjectFacts.refused(refusal(schema, "propertyNames")));
      facts.add(fact(Kinds.ANY.with(ObjectFacts.named(names)), fails));
    }
  }

  private static Set<String> names(SchemaNode schema, String keyword, JsonNode list) {
    Set<String> names = new LinkedHashSet<>();
    for (JsonNode name : list) {
      if (!name.isTextual()) {
        throw schema.error(keyword, "a list of names is needed");
      }
      names.add(name.textValue());
    }
    if (!list.isArray()) {
      throw schema.error(keyword, "a list of names is needed");
    }
    return names;
  }

  private static Set<String> names(SchemaNode schema, String keyword) {
    return schema.has(keyword) ? names(schema, keyword, schema.get(keyword)) : Set.of();
  }

  /** Without one of the names; what {@link #otherProperties} has told is not told again. */
  private List<Kinds> lacking(SchemaNode schema, Set<String> names) {
    Set<String> untold = new LinkedHashSet<>(names);
    named(schema, "properties")
        .forEach(
            (name, value) -> {
              if (!value.isTrue()) {
                untold.remove(name);
              }
            });
    return lacking(untold);
  }

  private static List<Kinds> lacking(Set<String> names) {
    return names.stream().map(name -> Kinds.NONE.with(ObjectFacts.without(name))).toList();
  }

  private static Fact dependent(String name, Set<String> then) {
    Set<String> all = new LinkedHashSet<>(then);
    all.add(name);
    Kinds has = Kinds.NONE.with(ObjectFacts.requiring(Set.of(name)));
    return new Fact(
        List.of(
            Kinds.ANY.with(ObjectFacts.without(name)), Kinds.NONE.with(ObjectFacts.requiring(all))),
        () -> lacking(then).stream().map(has::and).toList());
  }

  /**
   * With what {@code unevaluatedProperties} and {@code unevaluatedItems} say of those of which
   * nothing else does; {@code const} and {@code enum} speak of the whole value, and so of none of
   * them. An alternative knows only of its own options: that a value matches two of an {@code
   * anyOf}, and may have what either names, is not seen.
   */
  Kinds withoutUnevaluated(SchemaNode schema, Kinds kinds) {
    Kinds result = kinds;
    if (schema.has("unevaluatedProperties") && kinds.object() != null) {
      Signed others =
          new Signed(
              document.child(schema, schema.get("unevaluatedProperties"), "unevaluatedProperties"));
      result = result.with(closed(kinds.object(), others));
    }
    if (schema.has("unevaluatedItems") && kinds.array() != null) {
      Signed others =
          new Signed(document.child(schema, schema.get("unevaluatedItems"), "unevaluatedItems"));
      ArrayFacts array = kinds.array();
      if (array.units().stream().allMatch(unit -> unit.rest == null)) {
        int length = array.units().stream().mapToInt(ArrayFacts.Unit::seen).max().orElse(0);
        List<Signed> seen = Collections.nCopies(length, TRUE);
        result = result.with(array.and(ArrayFacts.of(new ArrayFacts.Unit(seen, others))));
      }
    }
    return result;
  }

  private static ObjectFacts closed(ObjectFacts object, Signed others) {
    Map<String, Signed> seen = new LinkedHashMap<>();
    List<ObjectFacts.Pattern> patterns = new ArrayList<>();
    for (ObjectFacts.Unit unit : object.units()) {
      if (unit.isOfConstant) {
        continue;
      }
      if (unit.additional != null) {
        return object;
      }
      unit.properties.forEach(
          (name, value) -> {
            if (value.holds()) { // what fails has not seen anything
              seen.put(name, TRUE);
            }
          });
      unit.patterns.forEach(p -> patterns.add(new ObjectFacts.Pattern(p.names(), TRUE)));
    }
    return object.and(ObjectFacts.of(new ObjectFacts.Unit(seen, patterns, others)));
  }
}
