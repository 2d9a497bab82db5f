package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Automaton;
import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Edge;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.Expression.Repeat;
import java.math.BigDecimal;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * How JSON spells numbers (RFC 8259, section 6). Stateless.
 *
 * <p>Forty digits before the point and behind it are enough, or a sampler might never leave them,
 * and readers have limits too. An integer has no fraction, though {@code 1.0} is one; and numbers
 * that are compared or divided have no exponent, so that comparing them is comparing their digits.
 */
final class JsonNumbers {
  /** Digits before and behind the point up to which numbers are compared. */
  static final int COMPARED_DIGITS = 40;

  private static final int DIVIDER_STATES_MAX = 10_000;

  private static final CodePoints DIGITS = CharacterClasses.DIGIT;
  private static final Expression DIGIT = new Chars(DIGITS);
  private static final Expression ANY_DIGITS = Expression.any(DIGIT);
  private static final Expression NOT_ZERO = new Chars(CodePoints.range('1', '9'));
  private static final Expression WHOLE =
      Expression.choice(Expression.text("0"), Expression.sequence(NOT_ZERO, ANY_DIGITS));
  private static final Expression FRACTION =
      Expression.optional(
          Expression.sequence(Expression.text("."), new Repeat(DIGIT, 1, Repeat.UNBOUNDED)));
  private static final Expression MINUS = Expression.text("-");

  /** Decimals without a sign. */
  private static final Expression UNSIGNED = Expression.sequence(WHOLE, FRACTION);

  static final Expression INTEGER = Expression.sequence(Expression.optional(MINUS), WHOLE);

  /** Without exponent. */
  static final Expression DECIMAL = Expression.sequence(INTEGER, FRACTION);

  /**
   * Any number that is not too long and fits into a double: behind many digits an exponent of two
   * at most, behind one, as serialisers write it, up to 307.
   */
  static final Expression NUMBER =
      Expression.choice(
          Expression.sequence(
              decimals(COMPARED_DIGITS), Expression.optional(exponent("[+-]?\\d{1,2}"))),
          Expression.sequence(
              Expression.optional(MINUS),
              DIGIT,
              Expression.optional(
                  Expression.sequence(Expression.text("."), new Repeat(DIGIT, 1, COMPARED_DIGITS))),
              exponent("(\\+?([12]\\d\\d|30[0-7])|-[0-3]\\d\\d)")));

  private JsonNumbers() {}

  private static Expression exponent(String digits) {
    return RegexParser.parse("[eE]" + digits, RegexParser.Extent.WHOLE);
  }

  /** With so many digits at most before the point and behind it. */
  static Expression decimals(int digits) {
    return Expression.sequence(
        integers(digits),
        Expression.optional(
            Expression.sequence(Expression.text("."), new Repeat(DIGIT, 1, digits))));
  }

  static Expression integers(int digits) {
    return Expression.sequence(
        Expression.optional(MINUS),
        Expression.choice(
            Expression.text("0"), Expression.sequence(NOT_ZERO, new Repeat(DIGIT, 0, digits - 1))));
  }

  /**
   * One number, as it is usually written: without exponent, or a very large one with it.
   *
   * @param hasFractions whether numbers beside it have, so that an integer may be written as {@code
   *     1.0}
   */
  static Expression of(BigDecimal value, boolean hasFractions) {
    String plain = value.toPlainString();
    if (plain.length() > 2 * COMPARED_DIGITS) {
      return Expression.text(value.stripTrailingZeros().toString());
    }
    return value.scale() > 0 || !hasFractions
        ? Expression.text(plain)
        : Expression.sequence(Expression.text(plain), Expression.optional(Expression.text(".0")));
  }

  /**
   * Decimals from a bound on.
   *
   * @param isStrict without the bound itself
   */
  static Expression atLeast(BigDecimal bound, boolean isStrict) {
    return from(bound, isStrict, Expression.EMPTY, MINUS);
  }

  /** Decimals up to a bound. */
  static Expression atMost(BigDecimal bound, boolean isStrict) {
    return from(bound.negate(), isStrict, MINUS, Expression.EMPTY);
  }

  /**
   * @param along the sign of numbers on whose side more is farther from zero
   */
  private static Expression from(
      BigDecimal bound, boolean isStrict, Expression along, Expression against) {
    if (bound.signum() > 0 || (bound.signum() == 0 && isStrict)) {
      return Expression.sequence(along, above(bound, !isStrict));
    }
    Expression nearer = new Both(UNSIGNED, new Except(above(bound.negate(), isStrict)));
    return Expression.choice(
        Expression.sequence(along, UNSIGNED), Expression.sequence(against, nearer));
  }

  /** Decimals without sign that are above a bound, which is not below zero. */
  private static Expression above(BigDecimal bound, boolean orEqual) {
    String[] parts = bound.stripTrailingZeros().toPlainString().split("\\.", 2);
    String whole = parts[0];
    String fraction = parts.length > 1 ? parts[1] : "";
    List<Expression> options = new ArrayList<>();
    options.add( // more digits
        Expression.sequence(
            NOT_ZERO, new Repeat(DIGIT, whole.length(), Repeat.UNBOUNDED), FRACTION));
    for (int i = 0; i < whole.length(); i++) { // as many, of which one is the first that differs
      if (whole.charAt(i) < '9') {
        int rest = whole.length() - i - 1;
        options.add(
            Expression.sequence(
                Expression.text(whole.substring(0, i)),
                higher(whole.charAt(i)),
                new Repeat(DIGIT, rest, rest),
                FRACTION));
      }
    }
    options.add(Expression.sequence(Expression.text(whole), aboveFraction(fraction, orEqual)));
    return new Choice(options);
  }

  /**
   * @param digits of a fraction, the last not 0; none: 0
   */
  private static Expression aboveFraction(String digits, boolean orEqual) {
    Expression more = Expression.sequence(ANY_DIGITS, NOT_ZERO, ANY_DIGITS);
    List<Expression> options = new ArrayList<>();
    for (int i = 0; i < digits.length(); i++) {
      if (digits.charAt(i) < '9') {
        options.add(
            Expression.sequence(
                Expression.text(digits.substring(0, i)), higher(digits.charAt(i)), ANY_DIGITS));
      }
    }
    if (digits.isEmpty()) {
      Expression some = Expression.sequence(Expression.text("."), more);
      return orEqual ? FRACTION : some;
    }
    options.add(Expression.sequence(Expression.text(digits), orEqual ? ANY_DIGITS : more));
    return Expression.sequence(Expression.text("."), new Choice(options));
  }

  private static Expression higher(char digit) {
    return new Chars(CodePoints.range(digit + 1, '9'));
  }

  /**
   * Decimals that are a number times an integer: what is left over of the digits so far is the
   * state, beside the place behind the point.
   *
   * @param divider above zero
   */
  static Expression multiplesOf(BigDecimal divider) {
    int scale = Math.max(0, divider.stripTrailingZeros().scale());
    BigDecimal unscaled = divider.stripTrailingZeros().movePointRight(scale);
    if (statesOf(divider) > DIVIDER_STATES_MAX) {
      throw new GrammarException(
          "multipleOf " + divider + " has too many digits to be counted by an automaton");
    }
    return new Divider(unscaled.intValueExact(), scale).automaton();
  }

  /** Which the automaton of its multiples has, about. */
  static double statesOf(BigDecimal divider) {
    int scale = Math.max(0, divider.stripTrailingZeros().scale());
    return divider.movePointRight(scale).doubleValue() * (scale + 1);
  }

  /** Makes one automaton. */
  private static final class Divider {
    private final int modulus;
    private final int scale;
    private final Map<Place, Integer> names = new HashMap<>();
    private final ArrayDeque<Place> pending = new ArrayDeque<>();
    private final List<Edge> edges = new ArrayList<>();

    /** What the digits so far leave over, and how many of them are behind the point. */
    private record Place(Part part, int rest, int digits) {}

    private enum Part {
      SIGN,
      FIRST,
      ZERO,
      WHOLE,
      POINT,
      FRACTION
    }

    Divider(int modulus, int scale) {
      this.modulus = modulus;
      this.scale = scale;
    }

    Expression automaton() {
      name(new Place(Part.SIGN, 0, 0));
      while (!pending.isEmpty()) {
        expand(pending.remove());
      }
      Set<Integer> accepts = new HashSet<>();
      names.forEach(
          (place, name) -> {
            boolean isNumber = place.part.compareTo(Part.ZERO) >= 0 && place.part != Part.POINT;
            if (isNumber && divides(place)) {
              accepts.add(name);
            }
          });
      return new Automaton(edges, accepts);
    }

    private boolean divides(Place place) {
      long rest = place.rest;
      for (int i = place.digits; i < scale; i++) {
        rest = rest * 10 % modulus;
      }
      return rest == 0;
    }

    private void expand(Place place) {
      switch (place.part) {
        case SIGN -> {
          edge(place, '-', new Place(Part.FIRST, 0, 0));
          first(place);
        }
        case FIRST -> first(place);
        case ZERO -> edge(place, '.', new Place(Part.POINT, 0, 0));
        case WHOLE -> {
          for (int digit = 0; digit <= 9; digit++) {
            edge(place, '0' + digit, new Place(Part.WHOLE, rest(place, digit), 0));
          }
          edge(place, '.', new Place(Part.POINT, place.rest, 0));
        }
        case POINT, FRACTION -> fraction(place);
      }
    }

    private void first(Place place) {
      edge(place, '0', new Place(Part.ZERO, 0, 0));
      for (int digit = 1; digit <= 9; digit++) {
        edge(place, '0' + digit, new Place(Part.WHOLE, digit % modulus, 0));
      }
    }

    private void fraction(Place place) {
      if (place.digits == scale) { // only zeros can follow
        edge(place, '0', new Place(Part.FRACTION, place.rest, scale));
        return;
      }
      for (int digit = 0; digit <= 9; digit++) {
        edge(place, '0' + digit, new Place(Part.FRACTION, rest(place, digit), place.digits + 1));
      }
    }

    private int rest(Place place, int digit) {
      return (int) ((10L * place.rest + digit) % modulus);
    }

    private void edge(Place from, int character, Place to) {
      edges.add(new Edge(name(from), CodePoints.of(character), name(to)));
    }

    private int name(Place place) {
      Integer known = names.get(place);
      if (known != null) {
        return known;
      }
      names.put(place, names.size());
      pending.add(place);
      return names.size() - 1;
    }
  }
}
