package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Automaton;
import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Counted;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.Expression.Literal;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import io.verdier.engine.grammar.Expression.Special;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;

/** Rules while they are collected, perhaps from several readers. Owned by who collects them. */
final class RuleSet {
  private final List<Expression> rules = new ArrayList<>();

  /** A rule that can be called, and is yet to be {@linkplain #define defined}. */
  Call reserve() {
    rules.add(Expression.NEVER);
    return new Call(rules.size() - 1);
  }

  void define(Call rule, Expression body) {
    rules.set(rule.rule(), body);
  }

  Call add(Expression body) {
    Call rule = reserve();
    define(rule, body);
    return rule;
  }

  /** Takes in another reader's rules, and calls the first of them. */
  Expression include(List<Expression> others) {
    if (others.size() == 1 && !callsAny(others.getFirst())) {
      return others.getFirst();
    }
    int shift = rules.size();
    for (Expression other : others) {
      rules.add(replaceCalls(other, rule -> new Call(rule + shift)));
    }
    return new Call(shift);
  }

  List<Expression> rules() {
    return List.copyOf(rules);
  }

  private static boolean callsAny(Expression expression) {
    boolean[] calls = new boolean[1];
    forEachCall(expression, rule -> calls[0] = true);
    return calls[0];
  }

  /** Hears of every call, as often as it is written. */
  static void forEachCall(Expression expression, IntConsumer listener) {
    switch (expression) {
      case Chars chars -> {}
      case Literal literal -> {}
      case Special special -> {}
      case Automaton automaton -> {}
      case Sequence sequence -> sequence.parts().forEach(part -> forEachCall(part, listener));
      case Choice choice -> choice.options().forEach(option -> forEachCall(option, listener));
      case Repeat repeat -> forEachCall(repeat.part(), listener);
      case Call call -> listener.accept(call.rule());
      case Both both -> {
        forEachCall(both.first(), listener);
        forEachCall(both.second(), listener);
      }
      case Except except -> forEachCall(except.part(), listener);
      case Counted counted -> {}
    }
  }

  /** With something else in place of every call. */
  static Expression replaceCalls(Expression expression, IntFunction<Expression> replacement) {
    return switch (expression) {
      case Chars chars -> chars;
      case Literal literal -> literal;
      case Special special -> special;
      case Automaton automaton -> automaton;
      case Sequence sequence -> new Sequence(replaceCalls(sequence.parts(), replacement));
      case Choice choice -> new Choice(replaceCalls(choice.options(), replacement));
      case Repeat repeat ->
          new Repeat(replaceCalls(repeat.part(), replacement), repeat.min(), repeat.max());
      case Call call -> replacement.apply(call.rule());
      case Both both ->
          new Both(
              replaceCalls(both.first(), replacement), replaceCalls(both.second(), replacement));
      case Except except -> new Except(replaceCalls(except.part(), replacement));
      case Counted counted -> counted;
    };
  }

  private static List<Expression> replaceCalls(
      List<Expression> expressions, IntFunction<Expression> replacement) {
    return expressions.stream().map(part -> replaceCalls(part, replacement)).toList();
  }
}
