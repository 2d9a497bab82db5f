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
    return new StringFacts(
        Math.max(min, other.min),
        Math.min(max, other.max),
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
    boolean isPlain = patterns.size() + never.size() == 0;
    return min > max || (!isPlain && texts.isEmpty(matched()));
  }

  boolean isAny() {
    return equals(ANY);
  }

  /** The JSON texts of such strings, in quotes. */
  Expression expression(RegularTexts texts) {
    Set<String> few = finite(texts);
    if (few != null) {
      return new Choice(few.stream().map(JsonStrings::of).toList());
    }
    if (min > max) {
      return Expression.NEVER;
    }
    boolean isPlain = patterns.isEmpty() && never.isEmpty();
    return isPlain ? JsonStrings.ofLength(min, max) : JsonStrings.of(matched());
  }

  /** The values themselves, where they are not listed. */
  Expression matched() {
    if (values != null) {
      return restricted(new Choice(values.stream().map(Expression::text).toList()));
    }
    List<Expression> parts = new ArrayList<>(patterns);
    Expression all = parts.isEmpty() ? length(min, max) : parts.getFirst();
    if (parts.size() == 1 && all instanceof Repeat(Chars part, int least, int most)) {
      int from = Math.max(min, least); // shorter than both: the same part, counted once
      int to = Math.min(max, most);
      return without(from > to ? Expression.NEVER : new Repeat(part, from, to));
    }
    for (int i = 1; i < parts.size(); i++) {
      all = new Both(all, parts.get(i));
    }
    boolean isBounded = !parts.isEmpty() && !TextLength.of(parts.getFirst()).isWithin(min, max);
    return without(isBounded ? new Both(all, length(min, max)) : all);
  }

  private Expression restricted(Expression texts) {
    Expression all = new Both(texts, length(min, max));
    for (Expression pattern : patterns) {
      all = new Both(all, pattern);
    }
    return without(all);
  }

  private Expression without(Expression texts) {
    Expression all = texts;
    for (StringFacts facts : never) {
      all = new Both(all, new Except(facts.matched()));
    }
    return all;
  }

  private static Expression length(int min, int max) {
    return min > max ? Expression.NEVER : new Repeat(new Chars(CodePoints.ALL), min, max);
  }
}
