package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Counted;
import io.verdier.engine.grammar.Expression.Except;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a schema says of numbers. Immutable.
 *
 * @param min null: none; so is {@code max}
 * @param dividers of which the number is a multiple
 * @param values one of which it is, without zeros at their ends; null: any
 * @param never none of which holds of it
 */
record NumberFacts(
    boolean isInteger,
    @Nullable Bound min,
    @Nullable Bound max,
    Set<BigDecimal> dividers,
    @Nullable Set<BigDecimal> values,
    List<NumberFacts> never) {
  static final NumberFacts ANY = new NumberFacts(false, null, null, Set.of(), null, List.of());
  static final NumberFacts INTEGER = new NumberFacts(true, null, null, Set.of(), null, List.of());

  private static final double MULTIPLES_STATES = 4000;

  private static final BigDecimal LARGEST = BigDecimal.TEN.pow(JsonNumbers.COMPARED_DIGITS);

  /**
   * An end of a range.
   *
   * @param isStrict it is not in the range
   */
  record Bound(BigDecimal value, boolean isStrict) {}

  static NumberFacts from(BigDecimal min, boolean isStrict) {
    return new NumberFacts(false, new Bound(min, isStrict), null, Set.of(), null, List.of());
  }

  static NumberFacts to(BigDecimal max, boolean isStrict) {
    return new NumberFacts(false, null, new Bound(max, isStrict), Set.of(), null, List.of());
  }

  static NumberFacts multipleOf(BigDecimal divider) {
    return new NumberFacts(false, null, null, Set.of(divider), null, List.of());
  }

  static NumberFacts of(Set<BigDecimal> values) {
    return new NumberFacts(false, null, null, Set.of(), values, List.of());
  }

  static NumberFacts not(NumberFacts never) {
    return new NumberFacts(false, null, null, Set.of(), null, List.of(never));
  }

  NumberFacts and(NumberFacts other) {
    return new NumberFacts(
        isInteger || other.isInteger,
        tighter(min, other.min, true),
        tighter(max, other.max, false),
        Sets.union(dividers, other.dividers),
        Sets.intersection(values, other.values),
        Sets.concat(never, other.never));
  }

  private static @Nullable Bound tighter(@Nullable Bound a, @Nullable Bound b, boolean isMin) {
    if (a == null || b == null) {
      return a == null ? b : a;
    }
    int order = a.value.compareTo(b.value);
    if (order == 0) {
      return a.isStrict ? a : b;
    }
    return (order > 0) == isMin ? a : b;
  }

  /** The values it can have, if they are few; null: they are not told. */
  @Nullable Set<BigDecimal> finite() {
    if (values == null) {
      return null;
    }
    Set<BigDecimal> kept = new LinkedHashSet<>();
    for (BigDecimal value : values) {
      if (accepts(value)) {
        kept.add(value);
      }
    }
    return kept;
  }

  private boolean accepts(BigDecimal value) {
    return (!isInteger || value.scale() <= 0)
        && (min == null || value.compareTo(min.value) >= (min.isStrict ? 1 : 0))
        && (max == null || value.compareTo(max.value) <= (max.isStrict ? -1 : 0))
        && (values == null || values.contains(value))
        && dividers.stream().allMatch(d -> value.remainder(d).signum() == 0)
        && never.stream().noneMatch(facts -> facts.accepts(value));
  }

  boolean isEmpty(RegularTexts texts) {
    Set<BigDecimal> few = finite();
    if (few != null) {
      return few.isEmpty();
    }
    if (min != null && max != null) {
      int order = min.value.compareTo(max.value);
      if (order > 0 || (order == 0 && (min.isStrict || max.isStrict))) {
        return true;
      }
    }
    boolean isPlain = never.isEmpty() && dividers.isEmpty() && !(isInteger && min != null);
    return !isPlain && texts.isEmpty(exact());
  }

  /** The texts of such numbers. */
  Expression expression() {
    Set<BigDecimal> few = finite();
    if (few != null) {
      boolean hasFractions = few.stream().anyMatch(value -> value.scale() > 0);
      return new Choice(few.stream().map(v -> JsonNumbers.of(v, hasFractions)).toList());
    }
    int digits = JsonNumbers.COMPARED_DIGITS;
    if (min == null && max == null && dividers.isEmpty() && never.isEmpty()) {
      return isInteger ? JsonNumbers.integers(digits) : JsonNumbers.NUMBER;
    }
    double states = dividers.stream().mapToDouble(JsonNumbers::statesOf).sum();
    if (states * digits > MULTIPLES_STATES) { // the digits are counted beside the automaton
      return new Counted(exact(), 1, isInteger ? digits + 1 : 2 * digits + 2);
    }
    return new Both(JsonNumbers.decimals(digits), exact());
  }

  /** Of any length, without exponent. */
  private Expression exact() {
    Expression all = isInteger ? JsonNumbers.INTEGER : JsonNumbers.DECIMAL;
    if (min != null) {
      all = new Both(all, lowest(min));
    }
    if (max != null) {
      all = new Both(all, highest(max));
    }
    for (BigDecimal divider : dividers) {
      all = new Both(all, JsonNumbers.multiplesOf(divider));
    }
    for (NumberFacts facts : never) {
      all = new Both(all, new Except(facts.decimals()));
    }
    return all;
  }

  /** Every spelling without exponent; so what is left without them has none of their values. */
  private Expression decimals() {
    Set<BigDecimal> few = finite();
    if (few == null) {
      return isInteger ? valued(exact()) : exact();
    }
    List<Expression> spelled = new ArrayList<>();
    for (BigDecimal value : few) {
      spelled.add(new Both(JsonNumbers.atLeast(value, false), JsonNumbers.atMost(value, false)));
    }
    return new Choice(spelled);
  }

  /** Integers with the zeros of a fraction as well. */
  private static Expression valued(Expression integers) {
    return Expression.sequence(
        integers,
        Expression.optional(
            Expression.sequence(
                Expression.text("."),
                new Expression.Repeat(Expression.text("0"), 1, Expression.Repeat.UNBOUNDED))));
  }

  /** Bounds with too many digits are moved inwards to one with fewer. */
  private static Expression lowest(Bound bound) {
    BigDecimal value = bound.value.max(LARGEST.negate());
    if (value.compareTo(LARGEST) > 0) {
      throw new GrammarException("the JSON schema: numbers above 1e40 cannot be compared");
    }
    BigDecimal rounded = rounded(value, RoundingMode.CEILING);
    return JsonNumbers.atLeast(rounded, bound.isStrict && rounded.compareTo(bound.value) == 0);
  }

  private static Expression highest(Bound bound) {
    BigDecimal value = bound.value.min(LARGEST);
    if (value.compareTo(LARGEST.negate()) < 0) {
      throw new GrammarException("the JSON schema: numbers below -1e40 cannot be compared");
    }
    BigDecimal rounded = rounded(value, RoundingMode.FLOOR);
    return JsonNumbers.atMost(rounded, bound.isStrict && rounded.compareTo(bound.value) == 0);
  }

  private static BigDecimal rounded(BigDecimal value, RoundingMode mode) {
    return value.scale() <= JsonNumbers.COMPARED_DIGITS
        ? value
        : value.setScale(JsonNumbers.COMPARED_DIGITS, mode);
  }
}
