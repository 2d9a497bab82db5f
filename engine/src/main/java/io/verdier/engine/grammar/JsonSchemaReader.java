package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.SchemaLogic.Signed;
import java.math.BigDecimal;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Makes rules of a JSON schema (drafts 6 to 2020-12): texts match that are JSON and valid. Owned by
 * the compiling thread, used once.
 *
 * <p><b>How.</b> {@link SchemaLogic} says what a set of schemas allows together, as alternatives;
 * each becomes an expression in which items and properties call the rule of the schemas that apply
 * to them. A set of schemas has one rule, so that recursion ends.
 *
 * <p><b>What is held.</b> Whatever matches is valid; what cannot be held is refused by name
 * (contains, uniqueItems of what is not listed, negations of what is said of items). Not everything
 * that is valid matches: properties come in the order in which the schema names them, required ones
 * that it does not describe and all others behind those; integers have no fraction, numbers with
 * bounds no exponent; of alternatives with {@code unevaluatedProperties} only one counts.
 *
 * <p><b>Names.</b> What {@code additionalProperties} allows are names that are not described, after
 * their escapes: none can stand for a described name. That a name is new among those is not
 * remembered: an automaton cannot. So where the same comes twice, the last counts, as in nearly
 * every reader of JSON, and {@code minProperties} may ask for one such name only.
 */
final class JsonSchemaReader {
  private static final int RULES_MAX = 20_000;

  /** Values that are written out where they are expected, rather than called. */
  private static final int INLINE_MAX = 64;

  /** Of a rule, and of a member of an object. */
  private static final int RULE_BYTES = 400;

  private final Budget budget;
  private final SchemaLogic logic;
  private final RegularTexts texts;
  private final JsonLayout layout;
  private final boolean isClosed;
  private final List<Expression> rules = new ArrayList<>();
  private final Map<Set<Signed>, Expression> values = new HashMap<>();
  private final Map<Object, Call> scalars = new HashMap<>(); // by what is said of them
  private final ArrayDeque<Pending> pending = new ArrayDeque<>();

  /** A rule that is called and not yet made. */
  private record Pending(int rule, Set<Signed> schemas) {}

  private JsonSchemaReader(SchemaDocument document, JsonStyle style, Budget budget) {
    this.budget = budget;
    texts = new RegularTexts(budget);
    logic = new SchemaLogic(document, texts, budget);
    isClosed = style.isClosed();
    rules.add(Expression.NEVER); // the root's
    layout = JsonLayout.of(style, rules, texts);
  }

  /**
   * The rules of a schema.
   *
   * @param schema JSON text
   * @throws GrammarException if it is malformed, or asks for what cannot be held; the message names
   *     the keyword and its place
   */
  static List<Expression> rules(String schema, JsonStyle style, Budget budget) {
    SchemaDocument document = SchemaDocument.read(schema, budget);
    JsonSchemaReader reader = new JsonSchemaReader(document, style, budget);
    reader.rules.set(0, reader.value(Set.of(new Signed(document.root()))));
    while (!reader.pending.isEmpty()) {
      Pending next = reader.pending.remove();
      reader.rules.set(next.rule, reader.written(next.schemas));
    }
    return reader.rules;
  }

  /** A value of which all schemas are said. */
  private Expression value(Set<Signed> schemas) {
    Set<Signed> said = new LinkedHashSet<>();
    for (Signed schema : schemas) {
      if (schema.isFalse()) {
        return Expression.NEVER;
      }
      if (!schema.isTrue()) {
        said.add(schema);
      }
    }
    Expression known = values.get(said);
    if (known != null) {
      return known;
    }
    Map<Object, Expression> few = finite(said);
    if (few != null && few.size() <= INLINE_MAX) {
      Expression all = new Choice(List.copyOf(few.values()));
      values.put(said, all);
      return all;
    }
    if (rules.size() >= RULES_MAX) {
      throw new GrammarException(
          "the JSON schema: more than " + RULES_MAX + " different values. Make it smaller.");
    }
    budget.hold(RULE_BYTES);
    Call call = new Call(rules.size());
    rules.add(Expression.NEVER);
    values.put(said, call);
    pending.add(new Pending(call.rule(), said));
    return call;
  }

  /** The values that are allowed, if all are listed; null: they are not. */
  private @Nullable Map<Object, Expression> finite(Set<Signed> schemas) {
    if (schemas.isEmpty()) {
      return null;
    }
    Map<Object, Expression> all = new LinkedHashMap<>();
    for (Kinds kinds : logic.all(schemas)) {
      NumberFacts number = kinds.number();
      StringFacts string = kinds.string();
      boolean areListed =
          (number == null || number.values() != null)
              && (string == null || string.values() != null);
      if (!areListed || kinds.array() != null || kinds.object() != null) {
        return null;
      }
      literals(kinds).forEach(literal -> all.put(literal, literal));
      if (number != null) {
        Set<BigDecimal> few = Sets.orNone(number.finite());
        boolean hasFractions = few.stream().anyMatch(value -> value.scale() > 0);
        few.forEach(value -> all.put(value, JsonNumbers.of(value, hasFractions)));
      }
      if (string != null) {
        Sets.orNone(string.finite(texts)).forEach(v -> all.put(v, texts.strings().of(v)));
      }
    }
    return all;
  }

  private static List<Expression> literals(Kinds kinds) {
    List<Expression> all = new ArrayList<>();
    if (kinds.hasNull()) {
      all.add(Expression.text("null"));
    }
    if (kinds.hasTrue()) {
      all.add(Expression.text("true"));
    }
    if (kinds.hasFalse()) {
      all.add(Expression.text("false"));
    }
    return all;
  }

  private Expression written(Set<Signed> schemas) {
    Set<Expression> options = new LinkedHashSet<>(); // alternatives often share their scalars
    for (Kinds kinds : logic.all(schemas)) {
      options.addAll(literals(kinds));
      NumberFacts number = kinds.number();
      if (number != null) {
        options.add(scalar(number, number.values() != null, number::expression));
      }
      StringFacts string = kinds.string();
      if (string != null) {
        options.add(scalar(string, string.values() != null, () -> string.expression(texts)));
      }
      if (kinds.array() != null) {
        options.add(array(kinds.array()));
      }
      if (kinds.object() != null) {
        object(kinds.object(), options);
      }
    }
    return new Choice(List.copyOf(options));
  }

  private Expression scalar(Object facts, boolean isListed, Supplier<Expression> text) {
    if (isListed) {
      return text.get();
    }
    Call known = scalars.get(facts);
    if (known == null) {
      known = new Call(rules.size());
      rules.add(text.get());
      scalars.put(facts, known);
    }
    return known;
  }

  private Expression array(ArrayFacts facts) {
    int prefix = facts.prefixLength();
    Expression rest = value(facts.item(prefix));
    int max = rest.equals(Expression.NEVER) ? Math.min(facts.max(), prefix) : facts.max();
    List<Expression> items = new ArrayList<>();
    for (int i = 0; i < Math.min(prefix, max); i++) {
      Expression item = value(facts.item(i));
      if (item.equals(Expression.NEVER)) {
        max = i;
      } else {
        items.add(item);
      }
    }
    if (facts.min() > max) {
      return Expression.NEVER;
    }
    if (!facts.refusals().isEmpty()) {
      throw new GrammarException(facts.refusals().getFirst());
    }
    boolean mayBeEmpty = facts.min() == 0;
    if (max == 0) {
      return layout.bracketed("[", Expression.NEVER, mayBeEmpty, "]");
    }
    if (!facts.unique().isEmpty() && max > 1) {
      return new UniqueItems(layout, rules)
          .array(facts, prefix == 0 ? finite(facts.item(0)) : null);
    }
    return layout.bracketed("[", items(items, rest, facts.min(), max), mayBeEmpty, "]");
  }

  /** At least one. */
  private Expression items(List<Expression> items, Expression rest, int min, int max) {
    Expression next = Expression.sequence(layout.comma(), rest);
    int behind = Math.max(1, items.size());
    int mostMore = max == ArrayFacts.UNBOUNDED ? max : max - behind;
    Expression tail = new Expression.Repeat(next, Math.max(0, min - behind), Math.max(0, mostMore));
    if (items.isEmpty()) {
      return Expression.sequence(rest, tail);
    }
    int required = Math.clamp(min, 1, items.size());
    for (int i = items.size() - 1; i >= required; i--) {
      tail = Expression.optional(Expression.sequence(layout.comma(), items.get(i), tail));
    }
    // Side by side and not nested: a constant may have tens of thousands.
    List<Expression> parts = new ArrayList<>(List.of(items.getFirst()));
    for (Expression item : items.subList(1, required)) {
      parts.add(layout.comma());
      parts.add(item);
    }
    parts.add(tail);
    return new Expression.Sequence(parts);
  }

  private void object(ObjectFacts facts, Set<Expression> options) {
    if (!facts.outside().isEmpty()) {
      facts.insideOnly().forEach(inside -> object(inside, options));
      return;
    }
    if (logic.isEmpty(facts, 0)) {
      return;
    }
    if (!facts.refusals().isEmpty()) {
      throw new GrammarException(facts.refusals().getFirst());
    }
    int rulesBefore = rules.size();
    Properties properties = new Properties(facts, logic, texts, isClosed);
    List<JsonMembers.Member> members = new ArrayList<>();
    for (Properties.Named named : properties.named()) {
      Expression value = value(named.schemas());
      if (!value.equals(Expression.NEVER)) {
        members.add(
            new JsonMembers.Member(
                member(texts.strings().of(named.name()), value), named.isRequired()));
      } else if (named.isRequired()) {
        return;
      }
    }
    List<Expression> others = new ArrayList<>();
    for (Properties.Others region : properties.others()) {
      Expression value = value(region.schemas());
      if (!value.equals(Expression.NEVER)) {
        StringFacts any = StringFacts.ANY;
        Expression name =
            region.names() == null
                ? scalar(any, false, () -> any.expression(texts))
                : texts.strings().of(region.names());
        others.add(member(name, value));
      }
    }
    Expression other = others.isEmpty() ? null : new Choice(others);
    JsonMembers.Listed all = new JsonMembers(members, other, facts, layout.comma(), rules).list();
    budget.hold(RULE_BYTES * (members.size() + others.size() + (long) rules.size() - rulesBefore));
    options.add(layout.bracketed("{", all.text(), all.mayBeEmpty(), "}"));
  }

  private Expression member(Expression name, Expression value) {
    return Expression.sequence(name, layout.colon(), value);
  }
}
