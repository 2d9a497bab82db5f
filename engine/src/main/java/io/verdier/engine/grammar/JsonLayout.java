package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Constraint.JsonStyle;
import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.RegexParser.Extent;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What stands between the tokens of JSON. Immutable.
 *
 * <p>Usually a few blanks, an empty line, and 128 blanks or 32 tabs of indentation: enough for 32
 * levels however they are laid out, and not for a sampler that has got stuck in blanks to go on for
 * ever. Before and behind the whole value there is nothing: an answer is complete with its last
 * bracket.
 *
 * @param gap what may stand anywhere between tokens
 */
record JsonLayout(Expression gap, Expression comma, Expression colon) {
  private static final String USUAL = "[ \\t]{0,4}(\\r?\\n(\\r?\\n)?( {0,128}|\\t{0,32}))?";

  /**
   * The layout of a style.
   *
   * @param rules gets another one, which gaps call: it has more states than most of what is around
   */
  static JsonLayout of(JsonStyle style, List<Expression> rules, RegularTexts texts) {
    @Nullable String pattern = style.whitespace();
    if (pattern == null && style.isCompact()) {
      return new JsonLayout(Expression.EMPTY, Expression.text(", "), Expression.text(": "));
    }
    rules.add(pattern == null ? RegexParser.parse(USUAL, Extent.WHOLE) : blanks(pattern, texts));
    Expression gap = new Call(rules.size() - 1);
    return new JsonLayout(
        gap,
        Expression.sequence(gap, Expression.text(","), gap),
        Expression.sequence(gap, Expression.text(":"), gap));
  }

  private static Expression blanks(String pattern, RegularTexts texts) {
    Expression own = RegexParser.parse(pattern, Extent.WHOLE);
    Expression blanks = RegexParser.parse("[ \\t\\r\\n]*", Extent.WHOLE);
    if (!texts.isEmpty(new Expression.Both(own, new Except(blanks)))) {
      throw new GrammarException(
          "whitespace_pattern matches what is no whitespace in JSON; that is space, \\t, \\r, \\n");
    }
    return own;
  }

  /**
   * What is in brackets.
   *
   * @param content never empty
   * @param mayBeEmpty whether there may also be none
   */
  Expression bracketed(String open, Expression content, boolean mayBeEmpty, String close) {
    Expression filled = Expression.sequence(content, gap);
    return Expression.sequence(
        Expression.text(open),
        gap,
        mayBeEmpty ? Expression.optional(filled) : filled,
        Expression.text(close));
  }
}
