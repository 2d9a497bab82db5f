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
import java.util.Arrays;
import java.util.List;

/**
 * Writes small rules out where they are called. Owned by its caller, used once.
 *
 * <p>People name what a letter is and what a space is. As calls these would put most tokens of a
 * vocabulary across the ends of rules, where the callers decide of each; written out they are part
 * of one automaton. Recursive rules stay, and large ones that are called more than once.
 */
final class Inliner {
  /** Of a rule that is written out wherever it is called. */
  private static final long SMALL_SIZE = 48;

  /** Of a rule that is written out where it is the only call. */
  private static final long SINGLE_SIZE = 2000;

  /** Of a rule that is written out; what comes of it is walked by recursion. */
  private static final int DEPTH_MAX = 60;

  private final List<Expression> rules;
  private final Expression[] bodies;
  private final boolean[] isWrittenOut;
  private final int[] uses;
  private final long[] sizes; // with what is written out
  private final int[] depths;

  private Inliner(List<Expression> rules) {
    this.rules = rules;
    bodies = rules.toArray(Expression[]::new);
    isWrittenOut = new boolean[bodies.length];
    uses = new int[bodies.length];
    sizes = new long[bodies.length];
    depths = new int[bodies.length];
  }

  /** Equal rules, without those that the first does not need. */
  static List<Expression> inlined(List<Expression> rules) {
    return new Inliner(rules).run();
  }

  private List<Expression> run() {
    for (int rule : reachable()) {
      RuleSet.forEachCall(bodies[rule], called -> uses[called]++);
    }
    for (int[] group : RuleGraph.groups(bodies.length, rule -> calls(rules.get(rule)))) {
      for (int rule : group) {
        bodies[rule] = RuleSet.replaceCalls(bodies[rule], this::called);
      }
      int only = group[0];
      boolean isRecursive =
          group.length > 1 || Arrays.stream(calls(rules.get(only))).anyMatch(c -> c == only);
      if (!isRecursive && only != 0) {
        long size = size(bodies[only]);
        isWrittenOut[only] =
            size <= (uses[only] == 1 ? SINGLE_SIZE : SMALL_SIZE)
                && depth(bodies[only]) <= DEPTH_MAX;
      }
    }
    return renumbered(reachable());
  }

  private Expression called(int rule) {
    return isWrittenOut[rule] ? bodies[rule] : new Call(rule);
  }

  private static int[] calls(Expression body) {
    List<Integer> calls = new ArrayList<>();
    RuleSet.forEachCall(body, calls::add);
    return calls.stream().mapToInt(Integer::intValue).distinct().toArray();
  }

  /** From the first rule, as the bodies are now. */
  private List<Integer> reachable() {
    boolean[] isFound = new boolean[bodies.length];
    List<Integer> found = new ArrayList<>(List.of(0));
    isFound[0] = true;
    for (int i = 0; i < found.size(); i++) {
      for (int called : calls(bodies[found.get(i)])) {
        if (!isFound[called]) {
          isFound[called] = true;
          found.add(called);
        }
      }
    }
    return found;
  }

  private List<Expression> renumbered(List<Integer> kept) {
    int[] numbers = new int[bodies.length];
    for (int i = 0; i < kept.size(); i++) {
      numbers[kept.get(i)] = i;
    }
    return kept.stream()
        .map(rule -> RuleSet.replaceCalls(bodies[rule], called -> new Call(numbers[called])))
        .toList();
  }

  /** About how many states it takes. */
  private long size(Expression expression) {
    return switch (expression) {
      case Chars chars -> 1 + chars.set().ranges() / 2;
      case Literal literal -> literal.text().length();
      case Special special -> special.token().length();
      case Automaton automaton -> automaton.edges().size();
      case Sequence sequence -> sequence.parts().stream().mapToLong(this::size).sum();
      case Choice choice -> 1 + choice.options().stream().mapToLong(this::size).sum();
      case Repeat repeat -> {
        int copies = repeat.max() == Repeat.UNBOUNDED ? Math.max(1, repeat.min()) : repeat.max();
        yield Math.min(Integer.MAX_VALUE, size(repeat.part()) * copies);
      }
      case Call call -> isWrittenOut[call.rule()] ? sizes[call.rule()] : 1;
      case Both both -> size(both.first()) + size(both.second());
      case Except except -> size(except.part());
      case Counted counted -> 1;
    };
  }

  private int depth(Expression expression) {
    return switch (expression) {
      case Chars chars -> 1;
      case Literal literal -> 1;
      case Special special -> 1;
      case Automaton automaton -> 1;
      case Sequence sequence -> 1 + depth(sequence.parts());
      case Choice choice -> 1 + depth(choice.options());
      case Repeat repeat -> 1 + depth(repeat.part());
      case Call call -> isWrittenOut[call.rule()] ? depths[call.rule()] : 1;
      case Both both -> 1 + Math.max(depth(both.first()), depth(both.second()));
      case Except except -> 1 + depth(except.part());
      case Counted counted -> 1;
    };
  }

  private int depth(List<Expression> expressions) {
    return expressions.stream().mapToInt(this::depth).max().orElse(0);
  }
}
