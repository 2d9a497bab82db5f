package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Expression.Automaton;
import io.verdier.engine.grammar.Expression.Both;
import io.verdier.engine.grammar.Expression.Call;
import io.verdier.engine.grammar.Expression.Chars;
import io.verdier.engine.grammar.Expression.Choice;
import io.verdier.engine.grammar.Expression.Counted;
import io.verdier.engine.grammar.Expression.Edge;
import io.verdier.engine.grammar.Expression.Except;
import io.verdier.engine.grammar.Expression.Literal;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.Expression.Sequence;
import io.verdier.engine.grammar.Expression.Special;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes automata of expressions. Owned by the compiling thread.
 *
 * <p>A repetition is written out as often as it counts, except one that would take many states:
 * that becomes a call of a symbol of its own, {@link CallSymbols#repeated}, and is counted while it
 * is matched.
 */
final class NfaBuilder {
  /** States up to which a counted repetition is written out. */
  private static final int UNROLLED_STATES_MAX = 512;

  private final Budget budget;
  private final CallSymbols symbols;
  private final ByteNfa nfa;

  /** A finished automaton. */
  record Built(ByteNfa nfa, int start, int end) {}

  private NfaBuilder(Budget budget, CallSymbols symbols) {
    this.budget = budget;
    this.symbols = symbols;
    nfa = new ByteNfa(budget);
  }

  /**
   * The automaton of an expression, which whoever needs it no more {@linkplain ByteNfa#release
   * releases}.
   *
   * @param symbols learns of what it calls
   */
  static Built build(Expression expression, Budget budget, CallSymbols symbols) {
    NfaBuilder builder = new NfaBuilder(budget, symbols);
    int start = builder.nfa.state();
    int end = builder.nfa.state();
    builder.add(expression, start, end);
    return new Built(builder.nfa, start, end);
  }

  private void add(Expression expression, int from, int to) {
    switch (expression) {
      case Chars chars -> addChars(chars.set(), from, to);
      case Literal literal -> addBytes(literal.bytes(), from, to);
      case Special special -> addBytes(TokenTrie.specialBytes(special.token()), from, to);
      case Sequence sequence -> addSequence(sequence.parts(), from, to);
      case Choice choice -> {
        for (Expression option : choice.options()) {
          add(option, from, to);
        }
      }
      case Repeat repeat -> addRepeat(repeat, from, to);
      case Call call -> nfa.call(from, symbols.rule(call.rule()), to);
      case Automaton automaton -> addAutomaton(automaton, from, to);
      case Counted counted -> {
        nfa.call(from, symbols.counted(counted), to);
        if (symbols.isNullable(counted)) {
          nfa.nothing(from, to);
        }
      }
      case Both both -> {
        ByteDfa first = regular(both.first());
        ByteDfa second = regular(both.second());
        addDfa(first.and(second, budget), from, to);
        budget.release(first.bytes() + second.bytes());
      }
      case Except except -> {
        ByteDfa part = regular(except.part());
        addDfa(part.not(budget), from, to);
        budget.release(part.bytes());
      }
    }
  }

  private void addAutomaton(Automaton automaton, int from, int to) {
    Map<Integer, Integer> states = new HashMap<>();
    nfa.nothing(from, states.computeIfAbsent(0, s -> nfa.state()));
    for (Edge edge : automaton.edges()) {
      int start = states.computeIfAbsent(edge.from(), s -> nfa.state());
      addChars(edge.set(), start, states.computeIfAbsent(edge.to(), s -> nfa.state()));
    }
    for (int state : automaton.accepts()) {
      nfa.nothing(states.computeIfAbsent(state, s -> nfa.state()), to);
    }
  }

  private ByteDfa regular(Expression expression) {
    CallSymbols none = CallSymbols.none();
    return ByteDfa.of(build(expression, budget, none), budget);
  }

  /** Takes a copy of an automaton, which nobody needs any more. */
  private void addDfa(ByteDfa dfa, int from, int to) {
    int first = nfa.states();
    for (int s = 0; s < dfa.states(); s++) {
      nfa.state();
    }
    for (int s = 0; s < dfa.states(); s++) {
      for (int low = 0; low < 256; ) {
        int high = low;
        int target = dfa.next(s, low);
        while (high < 255 && dfa.next(s, high + 1) == target) {
          high++;
        }
        if (target >= 0) {
          nfa.bytes(first + s, low, high, first + target);
        }
        low = high + 1;
      }
      if (dfa.accepts(s)) {
        nfa.nothing(first + s, to);
      }
    }
    if (dfa.states() > 0) {
      nfa.nothing(from, first);
    }
    budget.release(dfa.bytes());
  }

  private void addBytes(byte[] bytes, int from, int to) {
    int at = from;
    for (int i = 0; i < bytes.length; i++) {
      int next = i + 1 < bytes.length ? nfa.state() : to;
      nfa.bytes(at, bytes[i] & 0xff, bytes[i] & 0xff, next);
      at = next;
    }
    if (bytes.length == 0) {
      nfa.nothing(from, to);
    }
  }

  /** Byte sequences with a common beginning share its states. */
  private void addChars(CodePoints set, int from, int to) {
    Map<List<Integer>, Integer> shared = new HashMap<>(); // behind a state and a range of bytes
    Utf8.cut(
        set,
        (first, last, length) -> {
          int at = from;
          for (int i = 0; i + 1 < length; i++) {
            List<Integer> head = List.of(at, first[i], last[i]);
            Integer known = shared.get(head);
            int next = known == null ? nfa.state() : known;
            if (known == null) {
              nfa.bytes(at, first[i], last[i], next);
              shared.put(head, next);
            }
            at = next;
          }
          nfa.bytes(at, first[length - 1], last[length - 1], to);
        });
  }

  private void addSequence(List<Expression> parts, int from, int to) {
    int at = from;
    for (int i = 0; i < parts.size(); i++) {
      int next = i + 1 < parts.size() ? nfa.state() : to;
      add(parts.get(i), at, next);
      at = next;
    }
    if (parts.isEmpty()) {
      nfa.nothing(from, to);
    }
  }

  private void addRepeat(Repeat repeat, int from, int to) {
    Expression part = repeat.part();
    int min = repeat.min();
    int max = repeat.max();
    int counted = max == Repeat.UNBOUNDED ? min : max;
    if (counted > 1 && !symbols.isNullable(part) && isLong(part, counted)) {
      int symbol = symbols.repeated(repeat);
      if (symbol >= 0) {
        nfa.call(from, symbol, to);
        if (min == 0) {
          nfa.nothing(from, to);
        }
        return;
      }
    }
    int at = from;
    for (int i = 0; i < min; i++) {
      int next = nfa.state();
      add(part, at, next);
      at = next;
    }
    if (max == Repeat.UNBOUNDED) {
      int loop = nfa.state();
      nfa.nothing(at, loop);
      add(part, loop, loop);
      nfa.nothing(loop, to);
      return;
    }
    for (int i = min; i < max; i++) {
      nfa.nothing(at, to);
      int next = nfa.state();
      add(part, at, next);
      at = next;
    }
    nfa.nothing(at, to);
  }

  /** Whether so many copies would take too many states. */
  private boolean isLong(Expression part, int copies) {
    if (copies > UNROLLED_STATES_MAX) {
      return true;
    }
    NfaBuilder trial = new NfaBuilder(budget, symbols);
    trial.add(part, trial.nfa.state(), trial.nfa.state());
    trial.nfa.release();
    return (long) trial.nfa.states() * copies > UNROLLED_STATES_MAX;
  }
}
