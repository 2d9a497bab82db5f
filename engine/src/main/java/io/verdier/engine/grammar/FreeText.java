package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Except;
import java.util.ArrayList;
import java.util.List;

/**
 * Text that is free until something occurs in it. Stateless.
 *
 * <p>Occurrences are found as a reader from left to right finds them: the first that is complete
 * counts. That is a regular language, so that a text's automaton is in as many states as what may
 * occur has beginnings (Aho and Corasick, 1975).
 */
final class FreeText {
  private static final Expression CHARACTER = new Chars(CodePoints.ALL);
  private static final Expression ANYTHING = Expression.any(CHARACTER);

  private FreeText() {}

  /** Texts in which none of these occurs; what one begins with may be at the end. */
  static Expression without(List<String> stops) {
    return stops.isEmpty()
        ? ANYTHING
        : new Except(Expression.sequence(ANYTHING, literals(stops), ANYTHING));
  }

  /**
   * Texts that end with the first occurrence in them of any stop, which is the given one.
   *
   * @param end one of the stops
   */
  static Expression upTo(String end, List<String> stops) {
    Expression ends = Expression.sequence(ANYTHING, Expression.text(end));
    Expression stoppedBefore = Expression.sequence(ANYTHING, literals(stops), CHARACTER, ANYTHING);
    return new Both(ends, new Except(stoppedBefore));
  }

  private static Expression literals(List<String> texts) {
    List<Expression> literals = new ArrayList<>();
    texts.forEach(text -> literals.add(Expression.text(text)));
    return new Choice(literals);
  }
}
