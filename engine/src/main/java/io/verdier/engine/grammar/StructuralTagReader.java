package io.verdier.engine.grammar;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import io.verdier.engine.grammar.Expression.Special;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads structural tags: free text in which some tags, once begun, go on as they must. Owned by its
 * caller, used once.
 *
 * <p>Both of vLLM's forms are taken: {@code structures} with {@code triggers}, and {@code format},
 * a tree of formats as XGrammar has them. What is counted or excluded by tokens, and parameters in
 * XML, are refused by name.
 *
 * <p>A format that would take any text, as the last in a tag, ends where the tag's end first
 * occurs: so formats are read together with the ends that come behind them.
 *
 * <p>Where a special token may stand for a part of a beginning, an end or a trigger, both are
 * taken: readers of the text do not tell them apart, so what follows one must follow the other.
 */
final class StructuralTagReader {
  private static final int DEPTH_MAX = 60;

  /** Of what is read, for each character. */
  private static final int CHARACTER_BYTES = 40;

  private static final ObjectMapper MAPPER = new ObjectMapper();

  private final JsonStyle style;
  private final List<String> specials;
  private final Function<Constraint, List<Expression>> compile;
  private final RuleSet rules = new RuleSet();
  private int depth;

  private StructuralTagReader(
      Constraint.StructuralTag tag, Function<Constraint, List<Expression>> compile) {
    style = tag.style();
    specials = tag.specials();
    this.compile = compile;
  }

  /**
   * The rules of a tag; texts match the first.
   *
   * @param compile makes rules of the constraints in it
   * @throws GrammarException if it is malformed or asks for what is not supported
   */
  static List<Expression> read(
      Constraint.StructuralTag tag, Function<Constraint, List<Expression>> compile, Budget budget) {
    budget.hold((long) CHARACTER_BYTES * tag.tag().length());
    StructuralTagReader reader = new StructuralTagReader(tag, compile);
    Expression.Call whole = reader.rules.reserve();
    reader.rules.define(whole, reader.whole(parsed(tag.tag())));
    return Inliner.inlined(reader.rules.rules());
  }

  private static JsonNode parsed(String tag) {
    try {
      return MAPPER.readTree(tag);
    } catch (JsonProcessingException e) {
      throw new GrammarException("the structural tag is not JSON: " + e.getOriginalMessage());
    }
  }

  private Expression whole(JsonNode tag) {
    if (tag.has("format")) {
      return format(tag.get("format"), "format", List.of());
    }
    if (!tag.has("structures")) {
      throw new GrammarException("a structural tag has format, or structures and triggers");
    }
    List<Tag> tags = new ArrayList<>();
    int index = 0;
    for (JsonNode structure : array(tag, "structures", "the tag")) {
      String where = "structures[" + index++ + "]";
      JsonNode schema = required(structure, "schema", where);
      String json = schema.isTextual() ? schema.textValue() : schema.toString();
      Expression content = included(new Constraint.JsonSchema(json, style));
      Expression end = spelled(text(structure, "end", where));
      Expression rest = rules.add(Expression.sequence(content, end));
      tags.add(new Tag(text(structure, "begin", where), rest));
    }
    return dispatched(
        new Dispatch(strings(tag, "triggers", "the tag"), tags, List.of()), Times.ANY, List.of());
  }

  /** What begins a tag, and what comes behind that. */
  private record Tag(String begin, Expression rest) {}

  /** Tags in free text. */
  private record Dispatch(List<String> triggers, List<Tag> tags, List<String> excluded) {}

  /** How often tags occur. */
  private enum Times {
    ANY,
    AT_LEAST_ONE,
    AT_MOST_ONE,
    ONE;

    static Times of(boolean atLeastOne, boolean stopAfterFirst) {
      if (stopAfterFirst) {
        return atLeastOne ? ONE : AT_MOST_ONE;
      }
      return atLeastOne ? AT_LEAST_ONE : ANY;
    }
  }

  /** What a format matches, and one of the ends behind it; without ends, just the format. */
  private Expression format(JsonNode format, String where, List<String> ends) {
    if (++depth > DEPTH_MAX) {
      throw new GrammarException("formats are nested more than " + DEPTH_MAX + " deep");
    }
    String type = text(format, "type", where);
    Expression all =
        switch (type) {
          case "any_text" -> anyText(format, where, ends);
          case "sequence" -> sequence(array(format, "elements", where), where, ends);
          case "or" -> alternatives(array(format, "elements", where), where, ends);
          case "triggered_tags" -> triggered(format, where, ends);
          case "dispatch" -> dispatch(format, where, ends);
          default -> ended(closed(type, format, where), ends);
        };
    depth--;
    return all;
  }

  /** Formats that know by themselves where they end. */
  private Expression closed(String type, JsonNode format, String where) {
    return switch (type) {
      case "const_string" -> Expression.text(text(format, "value", where));
      case "json_schema" -> jsonSchema(format, where);
      case "regex" -> included(new Constraint.Regex(text(format, "pattern", where)));
      case "grammar" -> included(new Constraint.Rules(text(format, "grammar", where)));
      case "tag" -> {
        Tag tag = tag(format, where);
        yield Expression.sequence(spelled(tag.begin), tag.rest);
      }
      case "tags_with_separator" -> separated(format, where);
      case "optional" -> Expression.optional(content(format, where));
      case "star" -> Expression.any(content(format, where));
      case "plus" -> new Repeat(content(format, where), 1, Repeat.UNBOUNDED);
      case "repeat" -> repeated(format, where);
      default -> throw refused(where, "the type " + type + " is not supported");
    };
  }

  private Expression ended(Expression content, List<String> ends) {
    if (ends.isEmpty()) {
      return content;
    }
    return Expression.sequence(content, new Choice(ends.stream().map(this::spelled).toList()));
  }

  private Expression content(JsonNode format, String where) {
    return format(required(format, "content", where), where + ".content", List.of());
  }

  private Expression included(Constraint constraint) {
    return rules.include(compile.apply(constraint));
  }

  private Expression jsonSchema(JsonNode format, String where) {
    String xml = format.path("style").asText("json");
    if (!xml.equals("json")) {
      throw refused(where, "the style " + xml + " is not supported");
    }
    if (flag(format, "any_order", where)) {
      throw refused(where, "any_order is not supported");
    }
    JsonNode schema = required(format, "json_schema", where);
    return included(new Constraint.JsonSchema(schema.toString(), style));
  }

  private Expression anyText(JsonNode format, String where, List<String> ends) {
    if (format.hasNonNull("max_tokens")) {
      throw refused(where, "max_tokens is not supported");
    }
    List<String> excluded = new ArrayList<>(optionalStrings(format, "excludes", where));
    excluded.addAll(optionalStrings(format, "excluded_str", where)); // as it was called once
    return freeText(ends, excluded, where);
  }

  private Expression freeText(List<String> ends, List<String> excluded, String where) {
    for (String end : ends) {
      for (String text : excluded) {
        if (end.contains(text) && !end.endsWith(text)) {
          throw refused(
              where, text + " must not occur in free text, but is part of the end " + end);
        }
      }
    }
    List<String> stops = union(ends, excluded);
    if (ends.isEmpty()) {
      return FreeText.without(stops);
    }
    return new Choice(ends.stream().map(end -> upTo(end, stops)).toList());
  }

  /** Free text and one of the stops, which is the first; it may be of special tokens. */
  private Expression upTo(String end, List<String> stops) {
    Expression text = FreeText.upTo(end, stops);
    Expression tokens = tokens(end);
    return tokens == null
        ? text
        : Expression.choice(text, Expression.sequence(FreeText.without(stops), tokens));
  }

  /** A text, or the special tokens that may stand for it. */
  private Expression spelled(String text) {
    Expression tokens = tokens(text);
    return tokens == null
        ? Expression.text(text)
        : Expression.choice(Expression.text(text), tokens);
  }

  /** A text whose special tokens all are tokens; null: it has none. */
  private @Nullable Expression tokens(String text) {
    List<Expression> parts = new ArrayList<>();
    int done = 0; // characters that are in the parts
    for (int at = 0; at < text.length(); ) {
      String special = specialAt(text, at);
      if (special == null) {
        at++;
        continue;
      }
      parts.add(Expression.text(text.substring(done, at)));
      parts.add(new Special(special));
      at += special.length();
      done = at;
    }
    parts.add(Expression.text(text.substring(done)));
    return done == 0 ? null : new Sequence(parts);
  }

  /** The longest that is there, as tokenizers find it. */
  private @Nullable String specialAt(String text, int at) {
    return specials.stream()
        .filter(special -> !special.isEmpty() && text.startsWith(special, at))
        .max(Comparator.comparingInt(String::length))
        .orElse(null);
  }

  private static List<String> union(List<String> some, List<String> others) {
    Set<String> all = new LinkedHashSet<>(some);
    all.addAll(others);
    return List.copyOf(all);
  }

  private Expression sequence(List<JsonNode> elements, String where, List<String> ends) {
    List<Expression> parts = new ArrayList<>();
    for (int i = 0; i < elements.size(); i++) {
      boolean isLast = i + 1 == elements.size();
      String element = where + ".elements[" + i + "]";
      parts.add(format(elements.get(i), element, isLast ? ends : List.of()));
    }
    return elements.isEmpty() ? ended(Expression.EMPTY, ends) : new Sequence(parts);
  }

  private Expression alternatives(List<JsonNode> elements, String where, List<String> ends) {
    if (elements.isEmpty()) {
      throw refused(where, "elements are missing");
    }
    List<Expression> options = new ArrayList<>();
    for (int i = 0; i < elements.size(); i++) {
      options.add(format(elements.get(i), where + ".elements[" + i + "]", ends));
    }
    return new Choice(options);
  }

  private Expression repeated(JsonNode format, String where) {
    int min = number(format, "min", where);
    int max = number(format, "max", where);
    if (min < 0 || max < -1 || (max >= 0 && max < min)) {
      throw refused(where, "at least " + min + " and at most " + max + " times");
    }
    return new Repeat(content(format, where), min, max < 0 ? Repeat.UNBOUNDED : max);
  }

  private Tag tag(JsonNode format, String where) {
    JsonNode end = required(format, "end", where);
    List<String> ends =
        end.isArray() ? strings(format, "end", where) : List.of(text(format, "end", where));
    if (ends.contains("")) {
      ends = List.of(); // nothing has to come, so nothing has to be looked for
    }
    Expression rest = format(required(format, "content", where), where + ".content", ends);
    return new Tag(text(format, "begin", where), rules.add(rest)); // it may be used several times
  }

  private List<Tag> tags(JsonNode format, String where) {
    List<Tag> tags = new ArrayList<>();
    int index = 0;
    for (JsonNode tag : array(format, "tags", where)) {
      tags.add(tag(tag, where + ".tags[" + index++ + "]"));
    }
    return tags;
  }

  private Expression separated(JsonNode format, String where) {
    List<Expression> options = new ArrayList<>();
    for (Tag tag : tags(format, where)) {
      options.add(Expression.sequence(spelled(tag.begin), tag.rest));
    }
    Expression one = rules.add(new Choice(options));
    Expression separator = Expression.text(text(format, "separator", where));
    Expression more = Expression.any(Expression.sequence(separator, one));
    boolean stops = flag(format, "stop_after_first", where);
    Expression some = stops ? one : Expression.sequence(one, more);
    return flag(format, "at_least_one", where) ? some : Expression.optional(some);
  }

  private Expression triggered(JsonNode format, String where, List<String> ends) {
    List<String> excluded = optionalStrings(format, "excludes", where);
    Dispatch dispatch =
        new Dispatch(strings(format, "triggers", where), tags(format, where), excluded);
    boolean atLeastOne = flag(format, "at_least_one", where);
    return dispatched(
        dispatch, Times.of(atLeastOne, flag(format, "stop_after_first", where)), ends);
  }

  private Expression dispatch(JsonNode format, String where, List<String> ends) {
    List<Tag> tags = new ArrayList<>();
    List<String> patterns = new ArrayList<>();
    for (JsonNode rule : array(format, "rules", where)) {
      if (rule.size() != 2 || !rule.get(0).isTextual()) {
        throw refused(where, "a rule is a text and a format");
      }
      String place = where + ".rules[" + tags.size() + "]";
      patterns.add(rule.get(0).textValue());
      Expression rest = rules.add(format(rule.get(1), place, List.of()));
      tags.add(new Tag(rule.get(0).textValue(), rest));
    }
    boolean loops = !format.has("loop") || flag(format, "loop", where);
    List<String> excluded = optionalStrings(format, "excludes", where);
    return dispatched(
        new Dispatch(union(patterns, List.of()), tags, excluded), Times.of(false, !loops), ends);
  }

  /** Free text up to a trigger, what must follow that, and so on; at last, one of the ends. */
  private Expression dispatched(Dispatch dispatch, Times times, List<String> ends) {
    List<String> stops = union(union(dispatch.triggers, ends), dispatch.excluded);
    List<Expression> whole = new ArrayList<>();
    List<Expression> found = new ArrayList<>();
    for (Tag tag : dispatch.tags) {
      whole.add(Expression.sequence(spelled(tag.begin), tag.rest));
    }
    for (String trigger : dispatch.triggers) {
      List<Expression> rests = rests(dispatch.tags, trigger);
      Expression free = upTo(trigger, stops);
      found.add(Expression.sequence(free, new Choice(rests)));
    }
    Expression last =
        freeText(ends, union(dispatch.triggers, dispatch.excluded), "the end behind tags");
    Expression next = new Choice(found);
    return switch (times) {
      case ANY -> Expression.sequence(Expression.any(next), last);
      case AT_LEAST_ONE -> Expression.sequence(new Choice(whole), Expression.any(next), last);
      case AT_MOST_ONE -> Expression.choice(last, ended(next, ends));
      case ONE -> ended(new Choice(whole), ends);
    };
  }

  /** What may follow a trigger: the tags that begin with it. */
  private List<Expression> rests(List<Tag> tags, String trigger) {
    List<Expression> rests = new ArrayList<>();
    for (Tag tag : tags) {
      if (tag.begin.startsWith(trigger)) {
        String more = tag.begin.substring(trigger.length());
        rests.add(Expression.sequence(spelled(more), tag.rest));
      }
    }
    if (rests.isEmpty()) {
      throw new GrammarException("no tag begins with the trigger " + trigger);
    }
    return rests;
  }

  private static GrammarException refused(String where, String what) {
    return new GrammarException("the structural tag, " + where + ": " + what);
  }

  private static JsonNode required(JsonNode node, String name, String where) {
    JsonNode value = node.get(name);
    if (value == null || value.isNull()) {
      throw refused(where, name + " is missing");
    }
    return value;
  }

  private static String text(JsonNode node, String name, String where) {
    JsonNode value = required(node, name, where);
    if (!value.isTextual()) {
      throw refused(where, name + " must be a text");
    }
    return value.textValue();
  }

  private static int number(JsonNode node, String name, String where) {
    JsonNode value = required(node, name, where);
    if (!value.canConvertToInt() || !value.isIntegralNumber()) {
      throw refused(where, name + " must be a whole number");
    }
    return value.intValue();
  }

  private static boolean flag(JsonNode node, String name, String where) {
    JsonNode value = node.path(name);
    if (!value.isMissingNode() && !value.isNull() && !value.isBoolean()) {
      throw refused(where, name + " must be true or false");
    }
    return value.booleanValue();
  }

  private static List<JsonNode> array(JsonNode node, String name, String where) {
    JsonNode value = required(node, name, where);
    if (!value.isArray()) {
      throw refused(where, name + " must be a list");
    }
    List<JsonNode> elements = new ArrayList<>();
    value.forEach(elements::add);
    return elements;
  }

  /** One or more, none of them empty. */
  private static List<String> strings(JsonNode node, String name, String where) {
    List<String> texts = optionalStrings(node, name, where);
    if (texts.isEmpty()) {
      throw refused(where, name + " are missing");
    }
    return texts;
  }

  private static List<String> optionalStrings(JsonNode node, String name, String where) {
    if (!node.hasNonNull(name)) {
      return List.of();
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode element : array(node, name, where)) {
      if (!element.isTextual() || element.textValue().isEmpty()) {
        throw refused(where, name + " must be texts that are not empty");
      }
      texts.add(element.textValue());
    }
    return union(texts, List.of());
  }
}
