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
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.IntFunction;

/**
 * Rewrites rules that begin with themselves, at once or by way of others, as repetitions: {@code a:
 * a "+" b | b} becomes {@code b ("+" b)*}. Owned by its caller, used once.
 *
 * <p>This is Paull's algorithm (Moore, 2000, tells it well), on expressions instead of lists of
 * productions, group by group of rules that begin with each other:
 *
 * <ol>
 *   <li>A rule of the group that matches the empty text is split into a rule for all else, and the
 *       option of nothing.
 *   <li>In the order of the group, what of a rule begins with an earlier one has that one's body
 *       written in its place; then what begins with the rule itself becomes a repetition behind the
 *       rest.
 *   <li>In a repetition that ends with the rule itself, as in {@code a "+" a}, the rest stands for
 *       it, which matches the same texts in one way instead of many.
 * </ol>
 *
 * <p>Rules may grow exponentially in the number of those in a group; what grows too much is refused
 * by name.
 */
final class LeftRecursion {
  /** Parts of expressions that may be made for one group. */
  private static final int PARTS_MAX = 50_000;

  private static final int PART_BYTES = 40;

  private static final int GROUP_MAX = 40;

  private static final int DEPTH_MAX = 40;

  private final List<Expression> rules;
  private final IntFunction<String> names;
  private final Budget budget;
  private final boolean[]
      isNullable; // of the rules that were given; those that are added never are
  private final Map<Integer, Integer> withoutEmpty = new HashMap<>(); // rules by nullable ones
  private final Set<Integer> heads = new HashSet<>(); // rules for what comes before repetitions
  private Set<Integer> group = Set.of();
  private String groupName = "";
  private int parts;
  private int depth; // of rules that are written out in each other

  /**
   * An expression by what it begins with.
   *
   * @param rest texts that begin with no rule of the group
   * @param tails what comes behind each rule of the group that others begin with
   */
  private record Split(List<Expression> rest, Map<Integer, List<Expression>> tails) {
    Split() {
      this(new ArrayList<>(), new TreeMap<>());
    }
  }

  private LeftRecursion(List<Expression> rules, IntFunction<String> names, Budget budget) {
    this.budget = budget;
    this.rules = new ArrayList<>(rules);
    this.names = names;
    CallSymbols symbols = CallSymbols.of(rules, budget);
    isNullable = new boolean[rules.size()];
    for (int i = 0; i < isNullable.length; i++) {
      isNullable[i] = symbols.isNullableRule(i);
    }
  }

  /**
   * Equal rules, none of which begins with itself.
   *
   * @param names of the rules, for what is refused
   * @throws GrammarException if that would take too much
   */
  static List<Expression> eliminated(
      List<Expression> rules, IntFunction<String> names, Budget budget) {
    return new LeftRecursion(rules, names, budget).run();
  }

  private List<Expression> run() {
    int[][] leading = new int[rules.size()][];
    Arrays.setAll(leading, rule -> leading(rules.get(rule)));
    for (int[] members : RuleGraph.groups(leading.length, rule -> leading[rule])) {
      int only = members[0];
      if (members.length > 1 || Arrays.stream(leading[only]).anyMatch(rule -> rule == only)) {
        Arrays.sort(members);
        rewrite(members);
      }
    }
    return List.copyOf(rules);
  }

  private void rewrite(int[] members) {
    groupName = names.apply(members[0]);
    parts = 0;
    if (members.length > GROUP_MAX) {
      throw tooMuch();
    }
    int[] proper = new int[members.length];
    for (int i = 0; i < members.length; i++) {
      proper[i] = members[i];
      if (isNullable[members[i]]) {
        proper[i] = rules.size();
        rules.add(Expression.NEVER);
        withoutEmpty.put(members[i], proper[i]);
      }
    }
    for (int i = 0; i < members.length; i++) {
      if (isNullable[members[i]]) {
        rules.set(proper[i], nonEmpty(rules.get(members[i])));
        rules.set(members[i], Expression.optional(new Call(proper[i])));
      }
    }
    group = new HashSet<>(Arrays.stream(proper).boxed().toList());
    Arrays.stream(members).forEach(group::add);
    for (int i = 0; i < proper.length; i++) {
      Split split = split(rules.get(proper[i]));
      for (int j = 0; j < i; j++) {
        List<Expression> tails = split.tails.remove(proper[j]);
        if (tails != null) {
          append(split, split(rules.get(proper[j])), List.of(choice(tails)));
        }
      }
      rules.set(proper[i], repeated(proper[i], split));
    }
  }

  /** What begins with the rule itself becomes a repetition behind what does not. */
  private Expression repeated(int rule, Split split) {
    List<Expression> own = split.tails.remove(rule);
    List<Expression> first = new ArrayList<>(split.rest);
    split.tails.forEach((other, tails) -> first.add(then(new Call(other), choice(tails))));
    Expression head = choice(first);
    List<Expression> again = new ArrayList<>();
    for (Expression tail : own == null ? List.<Expression>of() : own) {
      if (!tail.equals(Expression.EMPTY)) { // a rule that is itself matches nothing more by it
        again.add(tail);
      }
    }
    boolean recurs = again.stream().anyMatch(tail -> endsWith(tail, rule));
    if (recurs) {
      rules.add(head);
      head = new Call(rules.size() - 1);
      heads.add(rules.size() - 1);
      group.add(rules.size() - 1);
    }
    Expression last = head;
    again.replaceAll(tail -> endsWith(tail, rule) ? withLast(tail, last) : tail);
    return again.isEmpty() ? head : then(head, Expression.any(choice(again)));
  }

  private static boolean endsWith(Expression tail, int rule) {
    Expression last =
        tail instanceof Sequence all && !all.parts().isEmpty() ? all.parts().getLast() : tail;
    return last instanceof Call call && call.rule() == rule;
  }

  private static Expression withLast(Expression tail, Expression last) {
    if (!(tail instanceof Sequence all)) {
      return last;
    }
    List<Expression> changed = new ArrayList<>(all.parts());
    changed.set(changed.size() - 1, last);
    return new Sequence(changed);
  }

  private Split split(Expression expression) {
    Split split = new Split();
    if (Arrays.stream(leading(expression)).noneMatch(group::contains)) {
      split.rest.add(expression);
      return split;
    }
    switch (expression) {
      case Chars chars -> throw new IllegalStateException("a class begins with a rule");
      case Literal literal -> throw new IllegalStateException("a literal begins with a rule");
      case Special special -> throw new IllegalStateException("a token begins with a rule");
      case Automaton automaton ->
          throw new IllegalStateException("an automaton begins with a rule");
      case Both both -> throw new IllegalStateException("an intersection begins with a rule");
      case Except except -> throw new IllegalStateException("an exclusion begins with a rule");
      case Counted counted -> throw new IllegalStateException("a count begins with a rule");
      case Call call -> {
        if (heads.contains(call.rule())) {
          return split(rules.get(call.rule()));
        }
        Integer other = withoutEmpty.get(call.rule());
        if (other != null) {
          split.rest.add(Expression.EMPTY);
        }
        int rule = other == null ? call.rule() : other;
        split.tails.put(rule, new ArrayList<>(List.of(Expression.EMPTY)));
      }
      case Choice choice -> choice.options().forEach(o -> append(split, split(o), List.of()));
      case Repeat repeat -> splitSequence(unrolled(repeat), split);
      case Sequence sequence -> splitSequence(sequence.parts(), split);
    }
    return split;
  }

  private void splitSequence(List<Expression> parts, Split split) {
    for (int i = 0; i < parts.size(); i++) {
      List<Expression> behind = parts.subList(i + 1, parts.size());
      Expression part = parts.get(i);
      if (!isNullable(part)) {
        append(split, split(part), behind);
        return;
      }
      append(split, split(nonEmpty(part)), behind);
    }
    split.rest.add(Expression.EMPTY);
  }

  /** As a sequence whose first part is not a repetition; the repetition matches some text. */
  private List<Expression> unrolled(Repeat repeat) {
    int max = repeat.max() == Repeat.UNBOUNDED ? repeat.max() : repeat.max() - 1;
    int min = isNullable(repeat.part()) ? 0 : Math.max(0, repeat.min() - 1);
    Expression again = max == 0 ? Expression.EMPTY : new Repeat(repeat.part(), min, max);
    return List.of(repeat.part(), again);
  }

  private void append(Split all, Split more, List<Expression> behind) {
    for (Expression rest : more.rest) {
      all.rest.add(then(rest, behind));
    }
    more.tails.forEach(
        (rule, tails) -> {
          List<Expression> known = all.tails.computeIfAbsent(rule, r -> new ArrayList<>());
          tails.forEach(tail -> known.add(then(tail, behind)));
        });
  }

  /** The same but the empty text. */
  private Expression nonEmpty(Expression expression) {
    if (!isNullable(expression)) {
      return expression;
    }
    return switch (expression) {
      case Chars chars -> chars;
      case Literal literal -> Expression.NEVER;
      case Special special -> special;
      case Automaton automaton -> new Both(automaton, new Except(Expression.EMPTY));
      case Both both -> new Both(both, new Except(Expression.EMPTY));
      case Except except -> new Both(except, new Except(Expression.EMPTY));
      case Counted counted -> throw new IllegalStateException("a count in a grammar");
      case Call call -> {
        Integer other = withoutEmpty.get(call.rule());
        yield other == null ? nonEmptyBody(call) : new Call(other);
      }
      case Choice choice -> choice(choice.options().stream().map(this::nonEmpty).toList());
      case Sequence sequence -> {
        List<Expression> options = new ArrayList<>();
        for (int i = 0; i < sequence.parts().size(); i++) {
          List<Expression> behind = sequence.parts().subList(i + 1, sequence.parts().size());
          options.add(then(nonEmpty(sequence.parts().get(i)), behind));
        }
        yield choice(options);
      }
      case Repeat repeat -> {
        if (repeat.max() == 0) {
          yield Expression.NEVER;
        }
        List<Expression> once = unrolled(repeat);
        yield then(nonEmpty(once.getFirst()), once.getLast());
      }
    };
  }

  private Expression nonEmptyBody(Call call) {
    if (++depth > DEPTH_MAX) {
      throw tooMuch();
    }
    Expression body = nonEmpty(rules.get(call.rule()));
    depth--;
    return body;
  }

  private boolean isNullable(Expression expression) {
    return switch (expression) {
      case Chars chars -> false;
      case Literal literal -> literal.text().isEmpty();
      case Special special -> false;
      case Sequence sequence -> sequence.parts().stream().allMatch(this::isNullable);
      case Choice choice -> choice.options().stream().anyMatch(this::isNullable);
      case Repeat repeat -> repeat.min() == 0 || isNullable(repeat.part());
      case Call call -> call.rule() < isNullable.length && isNullable[call.rule()];
      case Automaton automaton -> automaton.accepts().contains(0);
      case Both both -> isNullable(both.first()) && isNullable(both.second());
      case Except except -> !isNullable(except.part());
      case Counted counted -> counted.min() == 0 && isNullable(counted.part());
    };
  }

  /** The rules that a text of the expression may begin with. */
  private int[] leading(Expression expression) {
    Set<Integer> found = new TreeSet<>();
    addLeading(expression, found);
    return found.stream().mapToInt(Integer::intValue).toArray();
  }

  private void addLeading(Expression expression, Set<Integer> found) {
    switch (expression) {
      case Chars chars -> {}
      case Literal literal -> {}
      case Special special -> {}
      case Automaton automaton -> {}
      case Both both -> {}
      case Except except -> {}
      case Counted counted -> {}
      case Call call -> found.add(call.rule());
      case Choice choice -> choice.options().forEach(option -> addLeading(option, found));
      case Repeat repeat -> {
        if (repeat.max() > 0) {
          addLeading(repeat.part(), found);
        }
      }
      case Sequence sequence -> {
        for (Expression part : sequence.parts()) {
          addLeading(part, found);
          if (!isNullable(part)) {
            return;
          }
        }
      }
    }
  }

  private Expression then(Expression first, Expression second) {
    return then(first, List.of(second));
  }

  /** Flat, so that sequences of sequences do not grow deep. */
  private Expression then(Expression first, List<Expression> behind) {
    if (first.equals(Expression.NEVER)) {
      return first;
    }
    List<Expression> all = new ArrayList<>();
    addParts(first, all);
    behind.forEach(part -> addParts(part, all));
    parts += all.size();
    budget.work(all.size());
    budget.hold(PART_BYTES * (1L + all.size()));
    if (parts > PARTS_MAX) {
      throw tooMuch();
    }
    return all.size() == 1 ? all.getFirst() : new Sequence(all);
  }

  private static void addParts(Expression expression, List<Expression> parts) {
    if (expression instanceof Sequence sequence) {
      parts.addAll(sequence.parts());
    } else {
      parts.add(expression);
    }
  }

  private static Expression choice(List<Expression> options) {
    List<Expression> distinct =
        options.stream().filter(option -> !option.equals(Expression.NEVER)).distinct().toList();
    return distinct.size() == 1 ? distinct.getFirst() : new Choice(distinct);
  }

  private GrammarException tooMuch() {
    return new GrammarException(
        "the rule "
            + groupName
            + " begins with itself by way of too many others (left recursion); write it as a"
            + " repetition");
  }
}
