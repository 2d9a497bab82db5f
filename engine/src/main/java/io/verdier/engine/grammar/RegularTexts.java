package io.verdier.engine.grammar;

import java.nio.charset.StandardCharsets;
import java.util.IdentityHashMap;

/** Answers questions about expressions that call nothing. Owned by the compiling thread. */
final class RegularTexts {
  private final Budget budget;
  private final JsonStrings strings;
  private final IdentityHashMap<Expression, ByteDfa> known = new IdentityHashMap<>();

  RegularTexts(Budget budget) {
    this.budget = budget;
    strings = new JsonStrings(budget);
  }

  /** How JSON spells them. */
  JsonStrings strings() {
    return strings;
  }

  /** Whether nothing matches. */
  boolean isEmpty(Expression expression) {
    return states(expression) == 0;
  }

  /** Whether a text matches. */
  boolean matches(Expression expression, String text) {
    ByteDfa dfa = known.computeIfAbsent(expression, this::compiled);
    int state = dfa.states() == 0 ? ByteDfa.DEAD : 0;
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    budget.work(bytes.length + 1);
    for (int i = 0; i < bytes.length && state != ByteDfa.DEAD; i++) {
      state = dfa.next(state, bytes[i] & 0xff);
    }
    return state != ByteDfa.DEAD && dfa.accepts(state);
  }

  /** Of an automaton that matches it. */
  int states(Expression expression) {
    ByteDfa dfa = compiled(expression);
    budget.release(dfa.bytes());
    return dfa.states();
  }

  private ByteDfa compiled(Expression expression) {
    return ByteDfa.of(NfaBuilder.build(expression, budget, CallSymbols.none()), budget)
        .trimmed(symbol -> false, budget);
  }
}
