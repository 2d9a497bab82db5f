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
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the automata of a grammar call, numbered: rules, and repetitions that are counted while they
 * are matched. Owned by the compiling thread.
 */
final class CallSymbols {
  private final List<Expression> rules; // those of the grammar, then the parts of repetitions
  private final boolean[] nullable; // by the grammar's rules
  private final boolean isRegular;
  private final List<Symbol> symbols = new ArrayList<>();
  private final Map<Symbol, Integer> numbers = new HashMap<>();
  private final Map<Expression, Integer> parts = new HashMap<>(); // of repetitions
  private final Map<Expression, Integer> texts = new HashMap<>(); // whose characters are counted
  private final Set<Integer> countedRules = new HashSet<>(); // of those

  /**
   * What is called.
   *
   * @param rule that is matched, between {@code min} and {@code max} times, or once with so many
   *     characters
   * @param isOfCharacters which of the two
   */
  record Symbol(int rule, int min, int max, boolean isOfCharacters) {
    /** Whether it is a rule and nothing is counted. */
    boolean isPlain() {
      return max == 1 && !isOfCharacters;
    }
  }

  private CallSymbols(List<Expression> rules, boolean isRegular, Budget budget) {
    this.rules = new ArrayList<>(rules);
    this.isRegular = isRegular;
    nullable = new boolean[rules.size()];
    boolean changes;
    do {
      changes = false;
      budget.work(nullable.length);
      for (int i = 0; i < nullable.length; i++) {
        if (!nullable[i] && isNullable(rules.get(i))) {
          nullable[i] = true;
          changes = true;
        }
      }
    } while (changes);
  }

  /**
   * @throws GrammarException if it takes more than the budget has
   */
  static CallSymbols of(List<Expression> rules, Budget budget) {
    return new CallSymbols(rules, false, budget);
  }

  /** For automata that call nothing. */
  static CallSymbols none() {
    return new CallSymbols(List.of(), true, Budget.defaults());
  }

  List<Expression> rules() {
    return rules;
  }

  List<Symbol> symbols() {
    return symbols;
  }

  int rule(int rule) {
    if (isRegular) {
      throw new GrammarException("only regular parts can be intersected or excluded");
    }
    return symbol(new Symbol(rule, 1, 1, false));
  }

  /** The symbol of a repetition; -1: it must be written out. */
  int repeated(Repeat repeat) {
    if (isRegular) {
      return -1;
    }
    int rule = part(repeat.part(), parts);
    return symbol(new Symbol(rule, repeat.min(), repeat.max(), false));
  }

  /** The symbol of what has its characters counted. */
  int counted(Counted counted) {
    if (isRegular) {
      throw new GrammarException("what is counted cannot be intersected or excluded");
    }
    int rule = part(counted.part(), texts);
    countedRules.add(rule);
    return symbol(new Symbol(rule, counted.min(), counted.max(), true));
  }

  /** Whether the characters of a rule are counted. */
  boolean isCounted(int rule) {
    return countedRules.contains(rule);
  }

  private int part(Expression part, Map<Expression, Integer> known) {
    return known.computeIfAbsent(
        part,
        p -> {
          rules.add(p);
          return rules.size() - 1;
        });
  }

  private int symbol(Symbol symbol) {
    return numbers.computeIfAbsent(
        symbol,
        s -> {
          symbols.add(s);
          return symbols.size() - 1;
        });
  }

  boolean isNullableRule(int rule) {
    return rule < nullable.length && nullable[rule]; // parts of repetitions never are
  }

  /** Whether the empty text matches. */
  boolean isNullable(Expression expression) {
    return switch (expression) {
      case Chars chars -> false;
      case Literal literal -> literal.text().isEmpty();
      case Special special -> false;
      case Sequence sequence -> sequence.parts().stream().allMatch(this::isNullable);
      case Choice choice -> choice.options().stream().anyMatch(this::isNullable);
      case Repeat repeat -> repeat.min() == 0 || isNullable(repeat.part());
      case Call call -> nullable[call.rule()];
      case Automaton automaton -> automaton.accepts().contains(0);
      case Both both -> isNullable(both.first()) && isNullable(both.second());
      case Except except -> !isNullable(except.part());
      case Counted counted -> counted.min() == 0 && isNullable(counted.part());
    };
  }
}
