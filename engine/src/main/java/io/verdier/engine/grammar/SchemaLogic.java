package io.verdier.engine.grammar;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * What schemas allow, as lists of alternatives of which each says one thing of each kind of value.
 * Owned by the compiling thread.
 *
 * <p>Every keyword is a fact that holds or fails, and both are such lists. A schema holds where all
 * its facts do, and fails where one does; {@code allOf}, {@code anyOf}, {@code not} and {@code if}
 * are the same on whole schemas. {@code oneOf} is the options one by one, each without those others
 * that it may share values with: so what is provably apart costs nothing. What is said of items and
 * properties is only gathered; so references may lead in circles, as long as each round goes a
 * level deeper. Where {@code oneOf} looks for a difference a level deeper, it may come to what is
 * being gathered just then: of that it learns nothing, and nothing is surely apart or empty by it.
 */
final class SchemaLogic {
  /** Alternatives; each is written out. */
  private static final int ALTERNATIVES_MAX = 2048;

  /** Schemas in schemas that speak of the same value: each takes a few frames of the stack. */
  private static final int DEPTH_MAX = 250;

  /** Levels below a value at which two options are looked at for a difference. */
  private static final int APART_DEPTH_MAX = 3;

  /** Of an alternative, beside the members of its sets. */
  private static final int KINDS_BYTES = 150;

  private static final int MEMBER_BYTES = 60;

  private final SchemaDocument document;
  private final SchemaKeywords keywords;
  private final RegularTexts texts;
  private final Budget budget;
  private final Map<Signed, List<Kinds>> known = new HashMap<>();
  private final Map<Set<Signed>, List<Kinds>> together = new HashMap<>();
  private final LinkedHashSet<Signed> underWay = new LinkedHashSet<>(); // outermost first

  /** References led back to a schema whose alternatives are being gathered. */
  private static final class Underway extends GrammarException {
    private static final long serialVersionUID = 1;

    Underway(SchemaNode schema) {
      super("the JSON schema, " + schema.path() + ": $ref leads back here without a level between");
    }
  }

  /** A schema that holds, or that fails. */
  record Signed(SchemaNode schema, boolean holds) {
    Signed(SchemaNode schema) {
      this(schema, true);
    }

    boolean isFalse() {
      return holds ? schema.isFalse() : schema.isTrivial();
    }

    boolean isTrue() {
      return holds ? schema.isTrivial() : schema.isFalse();
    }
  }

  /**
   * What a keyword says.
   *
   * @param holds where it is so
   * @param fails where it is not; asked for only under a negation
   */
  record Fact(List<Kinds> holds, Supplier<List<Kinds>> fails) {}

  SchemaLogic(SchemaDocument document, RegularTexts texts, Budget budget) {
    this.document = document;
    this.texts = texts;
    this.budget = budget;
    keywords = new SchemaKeywords(document, budget);
  }

  /** What all of some schemas allow. */
  List<Kinds> all(Set<Signed> schemas) {
    List<Kinds> done = together.get(schemas);
    if (done != null) {
      return done;
    }
    List<Kinds> all = List.of(Kinds.ANY);
    for (Signed schema : schemas) {
      all = both(all, alternatives(schema), schema.schema());
    }
    together.put(schemas, all);
    return all;
  }

  /**
   * The same for a look at a deeper level.
   *
   * @return empty if that is what is being gathered, so that nothing can be said yet; a circle
   *     without a level between is found again, and refused, when the deeper level is written out
   */
  private Optional<List<Kinds>> ahead(Set<Signed> schemas) {
    int before = underWay.size();
    try {
      return Optional.of(all(schemas));
    } catch (Underway e) {
      while (underWay.size() > before) {
        underWay.removeLast();
      }
      return Optional.empty();
    }
  }

  private List<Kinds> alternatives(SchemaNode schema, boolean holds) {
    return alternatives(new Signed(schema, holds));
  }

  private List<Kinds> alternatives(Signed signed) {
    List<Kinds> done = known.get(signed);
    if (done != null) {
      return done;
    }
    SchemaNode schema = signed.schema();
    if (schema.json().isBoolean()) {
      return signed.isTrue() ? List.of(Kinds.ANY) : List.of();
    }
    if (underWay.size() >= DEPTH_MAX) {
      throw new GrammarException(
          "the JSON schema, " + schema.path() + ": more than " + DEPTH_MAX + " schemas in schemas");
    }
    if (!underWay.add(signed)) {
      throw new Underway(schema);
    }
    List<Kinds> all = signed.holds() ? holding(schema) : failing(schema);
    underWay.remove(signed);
    known.put(signed, all);
    return all;
  }

  private List<Kinds> holding(SchemaNode schema) {
    List<Kinds> all = List.of(Kinds.ANY);
    for (Fact fact : facts(schema)) {
      all = both(all, fact.holds(), schema);
    }
    if (!isReferenceOnly(schema)) {
      if (schema.has("oneOf")) {
        all = oneOf(schema, all);
      }
      all = all.stream().map(kinds -> keywords.withoutUnevaluated(schema, kinds)).toList();
    }
    return all;
  }

  private List<Kinds> failing(SchemaNode schema) {
    List<Kinds> any = new ArrayList<>();
    for (Fact fact : facts(schema)) {
      any.addAll(fact.fails().get());
    }
    if (!isReferenceOnly(schema)) {
      if (schema.has("oneOf")) {
        any.addAll(noneOf(schema));
      }
      keywords.refuseToNegate(schema, "unevaluatedProperties");
      keywords.refuseToNegate(schema, "unevaluatedItems");
    }
    return either(any, schema);
  }

  private boolean isReferenceOnly(SchemaNode schema) {
    return document.isDraft7() && schema.has("$ref");
  }

  /** All but oneOf, which needs to know the others. */
  private List<Fact> facts(SchemaNode schema) {
    List<Fact> facts = new ArrayList<>();
    if (schema.has("$ref")) {
      facts.add(of(document.target(schema, "$ref")));
    }
    if (isReferenceOnly(schema)) {
      return facts;
    }
    keywords.addTo(facts, schema);
    for (SchemaNode part : keywords.schemas(schema, "allOf")) {
      facts.add(of(part));
    }
    if (schema.has("anyOf")) {
      List<SchemaNode> options = keywords.schemas(schema, "anyOf");
      List<Kinds> any = new ArrayList<>();
      options.forEach(option -> any.addAll(alternatives(option, true)));
      facts.add(new Fact(either(any, schema), () -> none(options, schema)));
    }
    if (schema.has("not")) {
      SchemaNode not = document.child(schema, schema.get("not"), "not");
      facts.add(new Fact(alternatives(not, false), () -> alternatives(not, true)));
    }
    if (schema.has("if") && (schema.has("then") || schema.has("else"))) {
      facts.add(new Fact(conditional(schema, true), () -> conditional(schema, false)));
    }
    for (String keyword : List.of("dependentSchemas", "dependencies")) {
      schema
          .get(keyword)
          .properties()
          .forEach(
              entry -> {
                if (!entry.getValue().isArray()) {
                  facts.add(dependent(schema, keyword, entry.getKey(), entry.getValue()));
                }
              });
    }
    return facts;
  }

  private Fact of(SchemaNode schema) {
    return new Fact(alternatives(schema, true), () -> alternatives(schema, false));
  }

  private List<Kinds> none(List<SchemaNode> options, SchemaNode schema) {
    List<Kinds> all = List.of(Kinds.ANY);
    for (SchemaNode option : options) {
      all = both(all, alternatives(option, false), schema);
    }
    return all;
  }

  private List<Kinds> conditional(SchemaNode schema, boolean holds) {
    SchemaNode condition = document.child(schema, schema.get("if"), "if");
    List<Kinds> any = new ArrayList<>();
    for (boolean isMet : new boolean[] {true, false}) {
      String keyword = isMet ? "then" : "else";
      List<Kinds> branch =
          schema.has(keyword)
              ? alternatives(document.child(schema, schema.get(keyword), keyword), holds)
              : holds ? List.of(Kinds.ANY) : List.of();
      if (!branch.isEmpty()) {
        any.addAll(both(alternatives(condition, isMet), branch, schema));
      }
    }
    return either(any, schema);
  }

  private Fact dependent(SchemaNode schema, String keyword, String name, JsonNode value) {
    SchemaNode then = document.child(schema, value, keyword, name);
    List<Kinds> any = new ArrayList<>();
    any.add(Kinds.ANY.with(ObjectFacts.without(name)));
    Kinds has = Kinds.NONE.with(ObjectFacts.requiring(Set.of(name)));
    any.addAll(both(List.of(has), alternatives(then, true), schema));
    return new Fact(
        either(any, schema), () -> both(List.of(has), alternatives(then, false), schema));
  }

  private List<Kinds> oneOf(SchemaNode schema, List<Kinds> others) {
    List<SchemaNode> options = keywords.schemas(schema, "oneOf");
    List<List<Kinds>> parts = new ArrayList<>();
    for (SchemaNode option : options) {
      parts.add(both(others, alternatives(option, true), schema));
    }
    List<Map<String, Set<String>>> tags = parts.stream().map(this::tags).toList();
    List<Kinds> any = new ArrayList<>();
    for (int i = 0; i < options.size(); i++) {
      List<Kinds> one = parts.get(i);
      for (int j = 0; j < options.size(); j++) {
        if (j != i
            && !differ(tags.get(i), tags.get(j))
            && !areApart(parts.get(i), parts.get(j), 0)) {
          one = both(one, alternatives(options.get(j), false), schema);
        }
      }
      any.addAll(one);
    }
    return either(any, schema);
  }

  /**
   * The required properties of an option that are one of a few texts, as those are that tell
   * options apart: many of these are compared quickly.
   */
  private Map<String, Set<String>> tags(List<Kinds> option) {
    Map<String, Set<String>> tags = new HashMap<>();
    if (option.size() != 1 || !option.getFirst().isObject()) {
      return tags;
    }
    ObjectFacts object = Objects.requireNonNull(option.getFirst().object());
    for (String name : object.required()) {
      List<Kinds> value = ahead(object.property(name, texts)).orElse(List.of());
      if (value.size() == 1 && value.getFirst().areValues() && value.getFirst().isString()) {
        StringFacts string = Objects.requireNonNull(value.getFirst().string());
        tags.put(name, Sets.orNone(string.values()));
      }
    }
    return tags;
  }

  private boolean differ(Map<String, Set<String>> first, Map<String, Set<String>> second) {
    budget.work(16);
    for (Map.Entry<String, Set<String>> tag : first.entrySet()) {
      Set<String> other = second.get(tag.getKey());
      if (other != null && Collections.disjoint(tag.getValue(), other)) {
        return true;
      }
    }
    return false;
  }

  private List<Kinds> noneOf(SchemaNode schema) {
    List<SchemaNode> options = keywords.schemas(schema, "oneOf");
    for (int i = 0; i < options.size(); i++) {
      for (int j = 0; j < i; j++) {
        if (!areApart(alternatives(options.get(i), true), alternatives(options.get(j), true), 0)) {
          throw schema.error(
              "oneOf", "it cannot be negated where options may both match; use anyOf");
        }
      }
    }
    return none(options, schema);
  }

  private boolean areApart(List<Kinds> first, List<Kinds> second, int depth) {
    for (Kinds a : first) {
      for (Kinds b : second) {
        budget.work(64);
        Kinds both = a.and(b);
        if (!both.isNone() && !isEmpty(both, depth)) {
          return false;
        }
      }
    }
    return true;
  }

  /** Whether surely no value is of all schemas. */
  boolean isEmpty(Set<Signed> schemas, int depth) {
    if (schemas.stream().anyMatch(Signed::isFalse)) {
      return true;
    }
    if (schemas.stream().allMatch(Signed::isTrue) || depth > APART_DEPTH_MAX) {
      return false;
    }
    return ahead(schemas)
        .map(all -> all.stream().allMatch(kinds -> isEmpty(kinds, depth)))
        .orElse(false);
  }

  /** Whether surely no value is allowed. */
  boolean isEmpty(Kinds kinds, int depth) {
    return !kinds.hasNull()
        && !kinds.hasTrue()
        && !kinds.hasFalse()
        && (kinds.number() == null || kinds.number().isEmpty(texts))
        && (kinds.string() == null || kinds.string().isEmpty(texts))
        && (kinds.array() == null || isEmpty(kinds.array(), depth))
        && (kinds.object() == null || isEmpty(kinds.object(), depth));
  }

  private boolean isEmpty(ArrayFacts array, int depth) {
    if (array.min() > array.max()) {
      return true;
    }
    int looked = Math.min(array.min(), array.prefixLength() + 1);
    for (int i = 0; i < looked; i++) {
      if (isEmpty(array.item(i), depth + 1)) {
        return true;
      }
    }
    return false;
  }

  boolean isEmpty(ObjectFacts object, int depth) {
    if (object.min() > object.max() || object.required().size() > object.max()) {
      return true;
    }
    for (String name : object.required()) {
      if (object.forbidden().contains(name) || isEmpty(object.property(name, texts), depth + 1)) {
        return true;
      }
    }
    return !object.outside().isEmpty()
        && object.insideOnly().stream().allMatch(facts -> isEmpty(facts, depth));
  }

  /** What both allow. */
  private List<Kinds> both(List<Kinds> first, List<Kinds> second, SchemaNode schema) {
    List<Kinds> all = new ArrayList<>();
    for (Kinds a : first) {
      for (Kinds b : second) {
        budget.work(64);
        Kinds both = a.and(b);
        if (!both.isNone()) {
          budget.hold(KINDS_BYTES + (long) MEMBER_BYTES * both.membersBeside(a, b));
          all.add(both);
        }
      }
      requireFew(all, schema);
    }
    return all;
  }

  /** What any allows; listed values become one alternative. */
  private List<Kinds> either(List<Kinds> options, SchemaNode schema) {
    List<Kinds> all = new ArrayList<>();
    Kinds literals = Kinds.NONE;
    Set<BigDecimal> numbers = new LinkedHashSet<>();
    Set<String> strings = new LinkedHashSet<>();
    for (Kinds option : options) {
      if (!option.areValues()) {
        all.add(option);
        continue;
      }
      literals =
          literals.withLiterals(
              literals.hasNull() || option.hasNull(),
              literals.hasTrue() || option.hasTrue(),
              literals.hasFalse() || option.hasFalse());
      if (option.number() != null) {
        numbers.addAll(Sets.orNone(option.number().values()));
      }
      if (option.string() != null) {
        strings.addAll(Sets.orNone(option.string().values()));
      }
    }
    Kinds values = numbers.isEmpty() ? literals : literals.with(NumberFacts.of(numbers));
    values = strings.isEmpty() ? values : values.with(StringFacts.of(strings));
    if (!values.isNone()) {
      all.add(values);
    }
    requireFew(all, schema);
    return all;
  }

  private static void requireFew(List<Kinds> alternatives, SchemaNode schema) {
    if (alternatives.size() > ALTERNATIVES_MAX) {
      throw new GrammarException(
          "the JSON schema, "
              + schema.path()
              + ": more than "
              + ALTERNATIVES_MAX
              + " alternatives, counted with those that allOf and others multiply");
    }
  }
}
