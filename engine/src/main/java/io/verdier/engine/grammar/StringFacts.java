package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.Expression.Repeat;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a schema says of strings. Immutable.
 *
 * @param min code points, and so is {@code max}
 * @param patterns each of which the value matches as a whole
 * @param values one of which it is; null: any
 * @param never none of which holds of it
 */
record StringFacts(
    int min,
    int max,
    Set<Expression> patterns,
    @Nullable Set<String> values,
    List<StringFacts> never) {
  /** Of both a pattern and a count. */
  private static final int COUNTED_STATES = 20_000;

  private static final int SURELY_COUNTED = 50;

  private static final CodePoints ESCAPED = CodePoints.range(0x7f, CodePoints.LAST);

  static final StringFacts ANY = new StringFacts(0, Repeat.UNBOUNDED, Set.of(), null, List.of());

  static StringFacts ofLength(int min, int max) {
    return new StringFacts(min, max, Set.of(), null, List.of());
  }

  static StringFacts matching(Expression pattern) {
    return new StringFacts(0, Repeat.UNBOUNDED, Set.of(pattern), null, List.of());
  }

  static StringFacts of(Set<String> values) {
    return new StringFacts(0, Repeat.UNBOUNDED, Set.of(), values, List.of());
  }

  static StringFacts not(StringFacts never) {
    return new StringFacts(0, Repeat.UNBOUNDED, Set.of(), null, List.of(never));
  }

  StringFacts and(StringFacts other) {
    int least = Math.max(min, other.min);
    int most = Math.min(max, other.max);
    return new StringFacts(
        least,
        most,
        Sets.union(patterns, other.patterns),
        Sets.intersection(values, other.values),
        Sets.concat(never, other.never));
  }

  /** The values it can have, if they are few; null: they are not told. */
  @Nullable Set<String> finite(RegularTexts texts) {
    if (values == null) {
      return null;
    }
    boolean isPlain = patterns.isEmpty() && never.isEmpty() && min == 0;
    if (isPlain && max == Repeat.UNBOUNDED) {
      return values;
    }
    Set<String> kept = new LinkedHashSet<>();
    for (String value : values) {
      if (accepts(value, texts)) {
        kept.add(value);
      }
    }
    return kept;
  }

  boolean accepts(String value, RegularTexts texts) {
    int length = value.codePointCount(0, value.length());
    return length >= min
        && length <= max
        && (values == null || values.contains(value))
        && patterns.stream().allMatch(p -> texts.matches(p, value))
        && never.stream().noneMatch(facts -> facts.accepts(value, texts));
  }

  boolean isEmpty(RegularTexts texts) {
    Set<String> few = finite(texts);
    if (few != null) {
      return few.isEmpty();
    }
    if (min > max || (patterns.isEmpty() && never.isEmpty())) {
      return min > max;
    }
    boolean isLong = (max != Repeat.UNBOUNDED && max > SURELY_COUNTED) || min > SURELY_COUNTED;
    StringFacts looked = // what would be shortened is not empty for that
        isLong ? new StringFacts(0, Repeat.UNBOUNDED, patterns, values, never) : this;
    return texts.isEmpty(looked.matched(texts));
  }

  boolean isAny() {
    return equals(ANY);
  }

  /** The JSON texts of such strings, in quotes. */
  Expression expression(RegularTexts texts) {
    Set<String> few = finite(texts);
    if (few != null) {
      return new Choice(few.stream().map(texts.strings()::of).toList());
    }
    if (min > max) {
      return Expression.NEVER;
    }
    boolean isPlain = patterns.isEmpty() && never.isEmpty();
    if (isPlain) {
      return JsonStrings.ofLength(min, max);
    }
    boolean isBounded = min > 0 || max != Repeat.UNBOUNDED;
    StringFacts unbounded = new StringFacts(0, Repeat.UNBOUNDED, patterns, null, never);
    return isBounded && !isWrittenOut(texts)
        ? texts.strings().of(unbounded.matched(texts), min, max)
        : texts.strings().of(matched(texts));
  }

  /**
   * Whether an automaton may count the characters and match the patterns at once. Where it takes
   * too many states, they are counted beside it.
   */
  private boolean isWrittenOut(RegularTexts texts) {
    if (patterns.isEmpty()) {
      return max == Repeat.UNBOUNDED ? min <= SURELY_COUNTED : max <= SURELY_COUNTED;
    }
    Expression pattern = patterns.iterator().next();
    if (patterns.size() == 1
        && pattern instanceof Repeat repeat
        && repeat.part() instanceof Chars) {
      return true; // counted anyway
    }
    if (TextLength.of(pattern).isWithin(min, max)) {
      return true; // it counts itself
    }
    CodePoints characters = TextLength.characters(pattern);
    int states = texts.states(pattern);
    boolean isAscii = characters.and(ESCAPED).isEmpty();
    int each = isAscii ? 2 * (states + 1) : 25 * (3 + states / 3); // about; others have escapes
    int longest = Math.max(SURELY_COUNTED, COUNTED_STATES / each);
    return (max == Repeat.UNBOUNDED ? min : max) <= longest;
  }

  /**
   * The values themselves, where they are not listed.
   *
   * @throws GrammarException if it takes too many states to count them beside patterns
   */
  Expression matched(RegularTexts texts) {
    if (values != null) {
      return restricted(new Choice(values.stream().map(Expression::text).toList()), texts);
    }
    List<Expression> parts = new ArrayList<>(patterns);
    Expression all = parts.isEmpty() ? length(min, max) : parts.getFirst();
    if (parts.size() == 1 && all instanceof Repeat(Chars part, int least, int most)) {
      int from = Math.max(min, least); // shorter than both: the same part, counted once
      int to = Math.min(max, most);
      return without(from > to ? Expression.NEVER : new Repeat(part, from, to), texts);
    }
    for (int i = 1; i < parts.size(); i++) {
      all = new Both(all, parts.get(i));
    }
    boolean isBounded = !parts.isEmpty() && !TextLength.of(parts.getFirst()).isWithin(min, max);
    return without(isBounded ? new Both(all, bounded(parts.getFirst())) : all, texts);
  }

  /** Texts of the length, of characters that a pattern knows. */
  private Expression bounded(Expression pattern) {
    int counted = max == Repeat.UNBOUNDED ? min : max;
    if (counted > COUNTED_STATES) {
      throw new GrammarException(
          "the JSON schema: minLength or maxLength of "
              + counted
              + " beside a pattern or format takes too many states in a name, or under a negation");
    }
    return min > max
        ? Expression.NEVER
        : new Repeat(new Chars(TextLength.characters(pattern)), min, max);
  }

  private Expression restricted(Expression listed, RegularTexts texts) {
    Expression all = new Both(listed, length(min, max));
    for (Expression pattern : patterns) {
      all = new Both(all, pattern);
    }
    return without(all, texts);
  }

  private Expression without(Expression values, RegularTexts texts) {
    Expression all = values;
    for (StringFacts facts : never) {
      all = new Both(all, new Except(facts.matched(texts)));
    }
    return all;
  }

  private static Expression length(int min, int max) {
    return min > max ? Expression.NEVER : new Repeat(new Chars(CodePoints.ALL), min, max);
  }
}
