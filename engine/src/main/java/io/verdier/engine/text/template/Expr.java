package io.verdier.engine.text.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** An expression of a template. Immutable. */
sealed interface Expr {

  record Literal(Object value) implements Expr {}

  record Name(String name) implements Expr {}

  record ListOf(List<Expr> items) implements Expr {}

  record TupleOf(List<Expr> items) implements Expr {}

  record DictOf(List<Expr> keys, List<Expr> values) implements Expr {}

  record Not(Expr operand) implements Expr {}

  record Sign(boolean negative, Expr operand) implements Expr {}

  record Binary(Operator operator, Expr left, Expr right) implements Expr {}

  /** {@code ~}: the operands as strings, one after the other. */
  record Concat(List<Expr> operands) implements Expr {}

  record And(Expr left, Expr right) implements Expr {}

  record Or(Expr left, Expr right) implements Expr {}

  /** {@code a < b <= c}: each relation holds between its neighbours. */
  record Compare(Expr first, List<Relation> relations, List<Expr> others) implements Expr {}

  /**
   * @param otherwise null where the template has no {@code else}: undefined
   */
  record Conditional(Expr condition, Expr then, @Nullable Expr otherwise) implements Expr {}

  record Attribute(Expr owner, String name) implements Expr {}

  record Item(Expr owner, Expr key) implements Expr {}

  record Slice(Expr owner, @Nullable Expr from, @Nullable Expr to, @Nullable Expr step)
      implements Expr {}

  record Call(Expr callee, Arguments arguments) implements Expr {}

  /**
   * @param input null for the body of a filter block
   */
  record Filtered(@Nullable Expr input, String filter, Arguments arguments) implements Expr {}

  record Tested(Expr input, String test, Arguments arguments) implements Expr {}

  /**
   * @param spread the expression after {@code *}
   * @param spreadNamed the expression after {@code **}
   */
  record Arguments(
      List<Expr> positional,
      List<String> names,
      List<Expr> named,
      @Nullable Expr spread,
      @Nullable Expr spreadNamed) {
    static final Arguments NONE = new Arguments(List.of(), List.of(), List.of(), null, null);

    boolean isEmpty() {
      return positional.isEmpty() && named.isEmpty() && spread == null && spreadNamed == null;
    }
  }

  /** Arithmetic, with the power it binds by. */
  enum Operator {
    ADD("+", 5),
    SUB("-", 5),
    MUL("*", 7),
    DIV("/", 7),
    FLOOR_DIV("//", 7),
    MOD("%", 7),
    POW("**", 8);

    final String symbol;
    final int power;

    Operator(String symbol, int power) {
      this.symbol = symbol;
      this.power = power;
    }

    boolean isDivision() {
      return this == DIV || this == FLOOR_DIV || this == MOD;
    }
  }

  /** Comparison. */
  enum Relation {
    EQ("=="),
    NE("!="),
    LT("<"),
    LE("<="),
    GT(">"),
    GE(">="),
    IN("in"),
    NOT_IN("not in");

    final String symbol;

    Relation(String symbol) {
      this.symbol = symbol;
    }
  }
}
