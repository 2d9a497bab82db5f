package io.verdier.engine.grammar;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;

/**
 * What a text must match: the one form that every kind of constraint is brought into. Immutable.
 * Texts are UTF-8; sets are of code points.
 */
public sealed interface Expression {
  /** The empty text. */
  Expression EMPTY = new Sequence(List.of());

  /** No text at all. */
  Expression NEVER = new Choice(List.of());

  /** One code point of a set. */
  record Chars(CodePoints set) implements Expression {}

  /** These bytes, a whole text in UTF-8. */
  record Literal(String text) implements Expression {
    byte[] bytes() {
      return text.getBytes(StandardCharsets.UTF_8);
    }
  }

  /**
   * One special token, by its spelling. No text has it: what is spelled like it is other tokens.
   */
  record Special(String token) implements Expression {}

  /** All parts, one after the other. */
  record Sequence(List<Expression> parts) implements Expression {
    public Sequence {
      parts = List.copyOf(parts);
    }
  }

  /** Any of the options. */
  record Choice(List<Expression> options) implements Expression {
    public Choice {
      options = List.copyOf(options);
    }
  }

  /**
   * A part several times.
   *
   * @param max at least {@code min}, or {@link #UNBOUNDED}
   */
  record Repeat(Expression part, int min, int max) implements Expression {
    public static final int UNBOUNDED = Integer.MAX_VALUE;

    public Repeat {
      if (min < 0 || max < min) {
        throw new IllegalArgumentException(min + " to " + max + " times");
      }
    }
  }

  /**
   * What a rule of the grammar matches; rules may call each other and themselves.
   *
   * @param rule its index
   */
  record Call(int rule) implements Expression {}

  /**
   * An automaton: what takes it from state 0 to one of those that accept. Where a language is much
   * shorter so than as an expression: numbers that something divides.
   */
  record Automaton(List<Edge> edges, Set<Integer> accepts) implements Expression {
    public Automaton {
      edges = List.copyOf(edges);
      accepts = Set.copyOf(accepts);
    }
  }

  /** One code point of a set leads from a state to a state. */
  record Edge(int from, CodePoints set, int to) {}

  /**
   * Texts of a part that have so many characters. They are counted while they are matched, so that
   * the count takes no states.
   *
   * @param part contents of strings, as JSON spells them; calls no rules
   * @param max at least {@code min}, or {@link Repeat#UNBOUNDED}
   */
  record Counted(Expression part, int min, int max) implements Expression {}

  /** What both match. Neither may call rules, or count. */
  record Both(Expression first, Expression second) implements Expression {}

  /** Every text that a part, which may not call rules or count, does not match. */
  record Except(Expression part) implements Expression {}

  static Expression text(String text) {
    return text.isEmpty() ? EMPTY : new Literal(text);
  }

  static Expression sequence(Expression... parts) {
    return new Sequence(List.of(parts));
  }

  static Expression choice(Expression... options) {
    return new Choice(List.of(options));
  }

  static Expression optional(Expression part) {
    return new Repeat(part, 0, 1);
  }

  static Expression any(Expression part) {
    return new Repeat(part, 0, Repeat.UNBOUNDED);
  }
}
