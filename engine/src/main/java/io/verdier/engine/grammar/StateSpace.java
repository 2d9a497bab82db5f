package io.verdier.engine.grammar;

import io.verdier.engine.grammar.CallSymbols.Symbol;
import io.verdier.engine.grammar.Expression.Repeat;
import io.verdier.engine.grammar.GrammarState.Caller;
import io.verdier.engine.grammar.GrammarState.Place;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The states of one grammar, found as texts get there. Owned by one thread.
 *
 * <p>Equal states are one object, so that what was once worked out for one holds for every text
 * that gets there. Their number is bounded: beyond it all are forgotten, and found again as needed.
 */
final class StateSpace {
  /** Some hundred bytes each. */
  private static final int STATES_MAX = 1 << 14;

  /** Places in a state; only an ambiguous grammar has more than a few. */
  private static final int PLACES_MAX = 4096;

  private final Grammar grammar;
  private final Map<Key, GrammarState> states = new HashMap<>();

  // The closure that is being made.
  private final Set<Place> known = new HashSet<>();
  private final List<Place> reached = new ArrayList<>();
  private boolean mayEnd;

  private record Key(List<Place> places, boolean mayEnd) {}

  StateSpace(Grammar grammar) {
    this.grammar = grammar;
  }

  Grammar grammar() {
    return grammar;
  }

  /** Of the empty text. */
  GrammarState start() {
    begin();
    enter(grammar.rule(0), 0, null);
    return close();
  }

  /** A place by itself, not followed to where it may be without taking a byte. */
  GrammarState at(Place place) {
    return state(List.of(place), false);
  }

  /** Behind one more byte; null: nothing matches. */
  @Nullable GrammarState next(GrammarState state, int value) {
    int byteClass = grammar.classOf(value);
    if (!state.isKnown[byteClass]) {
      state.next[byteClass] = step(state, grammar.example(byteClass));
      state.isKnown[byteClass] = true;
    }
    return state.next[byteClass];
  }

  private @Nullable GrammarState step(GrammarState state, int value) {
    begin();
    for (Place place : state.places()) {
      int target = place.rule().next(place.state(), value);
      if (target != ByteDfa.DEAD) {
        enter(place.rule(), target, place.caller());
      }
    }
    return reached.isEmpty() ? null : close();
  }

  private void begin() {
    known.clear();
    reached.clear();
    mayEnd = false;
  }

  private void enter(ByteDfa rule, int state, @Nullable Caller caller) {
    Place place = new Place(rule, state, caller);
    if (known.add(place)) {
      if (reached.size() == PLACES_MAX) {
        throw new GrammarException("the constraint is too ambiguous: a text has too many readings");
      }
      reached.add(place);
    }
  }

  /** Adds all where a text gets without another byte. */
  private GrammarState close() {
    for (int i = 0; i < reached.size(); i++) {
      Place place = reached.get(i);
      int[] calls = place.rule().calls(place.state());
      for (int c = 0; c < calls.length; c += 2) {
        call(place, calls[c], calls[c + 1]);
      }
      if (place.rule().accepts(place.state())) {
        leave(place.caller());
      }
    }
    return state(reached.stream().filter(p -> p.rule().takesBytes(p.state())).toList(), mayEnd);
  }

  /**
   * A call behind which nothing comes leaves to the caller's caller, so that lists need no stack.
   */
  private void call(Place place, int symbol, int behind) {
    ByteDfa rule = place.rule();
    Symbol called = grammar.symbol(symbol);
    boolean isLast =
        called.max() == 1
            && rule.accepts(behind)
            && rule.calls(behind).length == 0
            && !rule.takesBytes(behind);
    Caller from = isLast ? place.caller() : new Caller(rule, behind, symbol, 0, place.caller());
    enter(grammar.rule(called.rule()), 0, from);
  }

  /** A called rule has matched. */
  private void leave(@Nullable Caller caller) {
    if (caller == null) {
      mayEnd = true;
      return;
    }
    Symbol symbol = grammar.symbol(caller.symbol);
    int count = caller.count + 1;
    if (count < symbol.max()) {
      boolean isUnbounded = symbol.max() == Repeat.UNBOUNDED;
      int counted = isUnbounded ? Math.min(count, symbol.min()) : count; // no more matters
      enter(grammar.rule(symbol.rule()), 0, caller.counted(counted));
    }
    if (count >= symbol.min()) {
      enter(caller.rule, caller.state, caller.caller);
    }
  }

  private GrammarState state(List<Place> places, boolean mayEnd) {
    if (states.size() >= STATES_MAX) {
      states.clear();
    }
    return states.computeIfAbsent(
        new Key(places, mayEnd), key -> new GrammarState(places, mayEnd, grammar.classCount()));
  }
}
