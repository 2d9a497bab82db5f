package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Repeat;
import java.util.List;

/**
 * How long the texts of an expression are, in code points: bounds, not always the closest.
 *
 * @param max {@link Repeat#UNBOUNDED} or more: not known
 */
record TextLength(long min, long max) {
  private static final long UNKNOWN = Repeat.UNBOUNDED;

  static TextLength of(Expression expression) {
    return switch (expression) {
      case Expression.Chars chars -> new TextLength(1, 1);
      case Expression.Literal literal -> {
        long length = literal.text().codePointCount(0, literal.text().length());
        yield new TextLength(length, length);
      }
      case Expression.Sequence sequence -> {
        TextLength all = new TextLength(0, 0);
        for (Expression part : sequence.parts()) {
          TextLength one = of(part);
          all = new TextLength(capped(all.min + one.min), capped(all.max + one.max));
        }
        yield all;
      }
      case Expression.Choice choice -> {
        TextLength all = new TextLength(UNKNOWN, 0);
        for (Expression option : choice.options()) {
          TextLength one = of(option);
          all = new TextLength(Math.min(all.min, one.min), Math.max(all.max, one.max));
        }
        yield all;
      }
      case Repeat repeat -> {
        TextLength part = of(repeat.part());
        yield new TextLength(
            capped(part.min * repeat.min()), part.max == 0 ? 0 : capped(part.max * repeat.max()));
      }
      case Expression.Both both -> {
        TextLength first = of(both.first());
        TextLength second = of(both.second());
        long least = Math.max(first.min, second.min);
        long most = Math.min(first.max, second.max);
        yield new TextLength(least, most);
      }
      case Expression.Special special -> throw new IllegalStateException("a token within a string");
      case Expression.Call call -> new TextLength(0, UNKNOWN);
      case Expression.Automaton automaton -> new TextLength(0, UNKNOWN);
      case Expression.Except except -> new TextLength(0, UNKNOWN);
      case Expression.Counted counted -> new TextLength(0, UNKNOWN);
    };
  }

  /** The characters that may be in a text. */
  static CodePoints characters(Expression expression) {
    return switch (expression) {
      case Expression.Chars chars -> chars.set();
      case Expression.Literal literal -> CodePoints.of(literal.text());
      case Expression.Sequence sequence -> characters(sequence.parts());
      case Expression.Choice choice -> characters(choice.options());
      case Repeat repeat -> characters(repeat.part());
      case Expression.Both both -> characters(both.first());
      case Expression.Special special -> throw new IllegalStateException("a token within a string");
      case Expression.Call call -> CodePoints.ALL;
      case Expression.Automaton automaton -> CodePoints.ALL;
      case Expression.Except except -> CodePoints.ALL;
      case Expression.Counted counted -> CodePoints.ALL;
    };
  }

  private static CodePoints characters(List<Expression> parts) {
    return CodePoints.union(parts.stream().map(TextLength::characters).toList());
  }

  private static long capped(long length) {
    return Math.min(UNKNOWN, length);
  }

  boolean isWithin(int least, int most) {
    return min >= least && (most == Repeat.UNBOUNDED || max <= most);
  }
}
