package io.verdier.engine.grammar;

import io.verdier.engine.grammar.CallSymbols.Symbol;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;

/**
 * A set of rules, each an automaton over bytes that may call others: what is regular is matched by
 * a table, what is nested by a stack. Immutable; a text matches if the first rule does.
 *
 * <p>Every state of every automaton can still end: what leads nowhere was taken out when the
 * grammar was compiled, so that a text that matches so far can always be completed.
 */
public final class Grammar {
  private final List<ByteDfa> rules;
  private final List<Symbol> symbols;
  private final byte[] classes; // of each byte, finer than those of every rule
  private final int[] examples; // a byte of each class

  private Grammar(List<ByteDfa> rules, List<Symbol> symbols) {
    this.rules = rules;
    this.symbols = symbols;
    this.classes = new byte[256];
    this.examples = divideBytes(rules, classes);
  }

  /** A grammar of one rule. */
  public static Grammar of(Expression whole, Budget budget) {
    return of(List.of(whole), budget);
  }

  /**
   * Compiles rules.
   *
   * @param rules by the indices with which they call each other; texts match the first
   * @throws GrammarException if nothing matches, if a rule calls itself before it has matched
   *     anything, or if that takes more than the budget has
   */
  public static Grammar of(List<Expression> rules, Budget budget) {
    CallSymbols calls = CallSymbols.of(rules, budget);
    List<ByteDfa> compiled = new ArrayList<>();
    ByteDfa characters = null; // of strings; made if it is needed
    for (int i = 0; i < calls.rules().size(); i++) { // counted repetitions add theirs
      NfaBuilder.Built built = NfaBuilder.build(calls.rules().get(i), budget, calls);
      IntPredicate nullable = symbol -> calls.isNullableRule(calls.symbols().get(symbol).rule());
      ByteDfa rule = new Determinizer(built, budget, nullable).run();
      if (calls.isCounted(i)) {
        characters = characters == null ? JsonStrings.characters(budget) : characters;
        rule = rule.trimmed(symbol -> false, budget);
        rule = rule.states() == 0 ? rule : rule.counting(characters, budget);
      }
      compiled.add(rule);
    }
    boolean[] matching = matching(compiled, calls.symbols(), budget);
    if (!matching[0]) {
      throw new GrammarException("no text can match the constraint");
    }
    IntPredicate called = symbol -> isMatched(calls.symbols().get(symbol), compiled, matching);
    for (int i = 0; i < compiled.size(); i++) { // one by one, so that they are not there twice
      ByteDfa rule = compiled.get(i);
      ByteDfa trimmed = rule.counts() == null ? rule.trimmed(called, budget) : rule; // it is
      compiled.set(i, trimmed.numbered(i));
    }
    Grammar grammar = new Grammar(List.copyOf(compiled), List.copyOf(calls.symbols()));
    grammar.requireNoLeftRecursion();
    return grammar;
  }

  /** Which rules match anything at all; looks again at a rule when one that it calls does. */
  private static boolean[] matching(List<ByteDfa> rules, List<Symbol> symbols, Budget budget) {
    List<List<Integer>> callers = new ArrayList<>();
    rules.forEach(rule -> callers.add(new ArrayList<>()));
    ArrayDeque<Integer> waiting = new ArrayDeque<>();
    for (int i = 0; i < rules.size(); i++) {
      for (int called : called(rules.get(i), symbols)) {
        callers.get(called).add(i);
      }
      waiting.add(i);
    }
    boolean[] matching = new boolean[rules.size()];
    while (!waiting.isEmpty()) {
      int rule = waiting.remove();
      budget.work(rules.get(rule).states());
      if (!matching[rule]
          && rules.get(rule).states() > 0
          && rules.get(rule).ending(s -> isMatched(symbols.get(s), rules, matching), budget)[0]) {
        matching[rule] = true;
        waiting.addAll(callers.get(rule));
      }
    }
    return matching;
  }

  /** Whether anything matches a symbol, as far as is known. */
  private static boolean isMatched(Symbol symbol, List<ByteDfa> rules, boolean[] matching) {
    CharacterCounts counts = rules.get(symbol.rule()).counts();
    return matching[symbol.rule()]
        && (counts == null || counts.canEnd(0, 0, symbol.min(), symbol.max()));
  }

  /** The rules that a rule calls, each once. */
  private static int[] called(ByteDfa rule, List<Symbol> symbols) {
    return IntStream.range(0, rule.states())
        .flatMap(
            state ->
                IntStream.range(0, rule.calls(state).length / 2).map(i -> rule.calls(state)[2 * i]))
        .map(symbol -> symbols.get(symbol).rule())
        .distinct()
        .toArray();
  }

  private void requireNoLeftRecursion() {
    int[] marks = new int[rules.size()]; // 1: under way, 2: done
    for (int i = 0; i < marks.length; i++) {
      visit(i, marks);
    }
  }

  private void visit(int from, int[] marks) {
    record Visit(int rule, int call) {}
    ArrayList<Visit> path = new ArrayList<>(); // grammars may be deeper than a thread's stack
    path.add(new Visit(from, 0));
    while (!path.isEmpty()) {
      Visit visit = path.removeLast();
      if (visit.call == 0 && marks[visit.rule] == 2) {
        continue;
      }
      ByteDfa rule = rules.get(visit.rule);
      int[] calls = rule.states() == 0 ? new int[0] : rule.calls(0);
      marks[visit.rule] = visit.call < calls.length ? 1 : 2;
      if (visit.call < calls.length) {
        int called = symbols.get(calls[visit.call]).rule();
        if (marks[called] == 1) {
          throw new GrammarException(
              "a rule begins with itself (left recursion); write it as a repetition");
        }
        path.add(new Visit(visit.rule, visit.call + 2));
        path.add(new Visit(called, 0));
      }
    }
  }

  private static int[] divideBytes(List<ByteDfa> rules, byte[] classes) {
    int[] names = new int[256];
    int count = 1;
    for (ByteDfa rule : rules) {
      int[] finer = new int[256];
      int[] known = new int[count * rule.classCount()];
      Arrays.fill(known, -1);
      int next = 0;
      for (int value = 0; value < 256; value++) {
        int both = names[value] * rule.classCount() + rule.classOf(value);
        if (known[both] < 0) {
          known[both] = next++;
        }
        finer[value] = known[both];
      }
      names = finer;
      count = next;
    }
    int[] examples = new int[count];
    for (int value = 255; value >= 0; value--) {
      classes[value] = (byte) names[value];
      examples[names[value]] = value;
    }
    return examples;
  }

  int ruleCount() {
    return rules.size();
  }

  ByteDfa rule(int index) {
    return rules.get(index);
  }

  Symbol symbol(int index) {
    return symbols.get(index);
  }

  int classOf(int value) {
    return classes[value] & 0xff;
  }

  int classCount() {
    return examples.length;
  }

  /** A byte of a class. */
  int example(int byteClass) {
    return examples[byteClass];
  }

  /** Of what it holds, about. */
  public long bytes() {
    return 2048 + 48L * symbols.size() + rules.stream().mapToLong(ByteDfa::bytes).sum();
  }

  /** Of all rules together. */
  public int states() {
    return rules.stream().mapToInt(ByteDfa::states).sum();
  }
}
