package io.verdier.engine.grammar;

import io.verdier.engine.grammar.CallSymbols.Symbol;
import io.verdier.engine.grammar.Callers.Caller;
import io.verdier.engine.grammar.GrammarState.Place;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * All the places where a text gets without another byte, by calls and returns. Owned by the thread
 * of its {@link StateSpace}; begun anew for every step.
 *
 * <p>A place that is reached again has the callers of both; what it calls and what it returns to is
 * followed again then, until nothing is added.
 */
final class Closure {
  /** Places in a state; only a very ambiguous grammar has more than a few. */
  private static final int PLACES_MAX = 4096;

  /** Places up to which looking at each is faster than a table. */
  private static final int LISTED_MAX = 12;

  private static final Comparator<Place> ORDER =
      Comparator.<Place>comparingInt(place -> place.rule().number()).thenComparingInt(Place::state);

  private final Grammar grammar;
  private final CallerSets sets;
  private final Effort effort;
  private final List<Reached> reached = new ArrayList<>();
  private final Map<Long, Reached> byPlace = new HashMap<>();
  private final ArrayDeque<Reached> pending = new ArrayDeque<>();
  private boolean mayEnd;

  /** A place, and who is known to have called there. Owned by its closure. */
  private static final class Reached {
    final ByteDfa rule;
    final int state;
    Callers callers;
    boolean isPending = true;

    Reached(ByteDfa rule, int state, Callers callers) {
      this.rule = rule;
      this.state = state;
      this.callers = callers;
    }
  }

  Closure(Grammar grammar, CallerSets sets, Effort effort) {
    this.grammar = grammar;
    this.sets = sets;
    this.effort = effort;
  }

  void begin() {
    reached.clear();
    byPlace.clear();
    pending.clear();
    mayEnd = false;
  }

  void enter(ByteDfa rule, int state, Callers callers) {
    effort.step(1);
    Reached known = find(rule, state);
    if (known == null) {
      add(new Reached(rule, state, callers));
      return;
    }
    Callers all = sets.union(known.callers, callers);
    if (all != known.callers) {
      known.callers = all;
      if (!known.isPending) {
        known.isPending = true;
        pending.add(known);
      }
    }
  }

  private @Nullable Reached find(ByteDfa rule, int state) {
    if (reached.size() > LISTED_MAX) {
      return byPlace.get(key(rule, state));
    }
    for (Reached one : reached) {
      if (one.rule == rule && one.state == state) {
        return one;
      }
    }
    return null;
  }

  private void add(Reached place) {
    if (reached.size() == PLACES_MAX) {
      throw new GrammarException("the constraint is too ambiguous: a text has too many readings");
    }
    reached.add(place);
    pending.add(place);
    if (reached.size() == LISTED_MAX + 1) {
      reached.forEach(one -> byPlace.put(key(one.rule, one.state), one));
    } else if (reached.size() > LISTED_MAX) {
      byPlace.put(key(place.rule, place.state), place);
    }
  }

  private static long key(ByteDfa rule, int state) {
    return (long) rule.number() << Integer.SIZE | state;
  }

  /** Follows calls and returns; the places that take bytes, in order. */
  Place[] close() {
    for (Reached place = pending.poll(); place != null; place = pending.poll()) {
      place.isPending = false;
      int[] calls = place.rule.calls(place.state);
      for (int c = 0; c < calls.length; c += 2) {
        call(place, calls[c], calls[c + 1]);
      }
      if (place.rule.accepts(place.state)) {
        leave(place.callers);
      }
    }
    int size = 0;
    Place[] places = new Place[reached.size()];
    for (Reached place : reached) {
      if (goesOn(place)) {
        places[size++] = new Place(place.rule, place.state, place.callers);
      }
    }
    if (size > 1) {
      Arrays.sort(places, 0, size, ORDER);
    }
    return size == places.length ? places : Arrays.copyOf(places, size);
  }

  /** Whether the first rule has matched. */
  boolean mayEnd() {
    return mayEnd;
  }

  /**
   * A call behind which nothing comes leaves to the caller's caller, so that lists need no stack.
   */
  private void call(Reached place, int symbol, int behind) {
    ByteDfa rule = place.rule;
    Symbol called = grammar.symbol(symbol);
    boolean isLast =
        called.isPlain()
            && rule.accepts(behind)
            && rule.calls(behind).length == 0
            && !rule.takesBytes(behind);
    Callers from =
        isLast
            ? place.callers
            : sets.of(new Caller(rule, behind, called, 0, place.callers, reserve(called)));
    enter(grammar.rule(called.rule()), 0, from);
  }

  private int reserve(Symbol called) {
    CharacterCounts counts = grammar.rule(called.rule()).counts();
    return counts == null ? 0 : counts.farthest();
  }

  /** A byte has led to a place; not, if that is of a text which then cannot end in its bounds. */
  void reach(ByteDfa rule, int state, Callers callers) {
    CharacterCounts counts = rule.counts();
    if (counts == null || !callers.isCalled()) {
      enter(rule, state, callers);
      return;
    }
    List<Caller> kept = new ArrayList<>();
    for (Caller caller : callers.callers) {
      effort.step(1);
      Caller counted = counts.isBetween(state) ? caller.oneMore() : caller;
      if (counted.canEnd(counts, state)) {
        kept.add(counted);
      }
    }
    if (!kept.isEmpty()) {
      enter(rule, state, sets.of(kept));
    }
  }

  /** Whether bytes lead on from a place. */
  private static boolean goesOn(Reached place) {
    CharacterCounts counts = place.rule.counts();
    if (counts == null || !place.callers.isCalled()) {
      return place.rule.takesBytes(place.state);
    }
    for (Caller caller : place.callers.callers) {
      if (caller.goesOn(counts, place.state)) {
        return true;
      }
    }
    return false;
  }

  boolean isEmpty() {
    return reached.isEmpty();
  }

  /**
   * A called rule has matched. Callers that go on alike do so together: a repetition that may have
   * matched any number of times has one for each.
   */
  void leave(Callers called) {
    mayEnd |= called.hasNone;
    Caller[] callers = called.callers;
    for (int from = 0; from < callers.length; ) {
      int to = from;
      Callers above = null;
      List<Caller> again = new ArrayList<>();
      for (; to < callers.length && callers[to].isBeside(callers[from]); to++) {
        Caller caller = callers[to];
        effort.step(1);
        Caller next = caller.again();
        if (next != null) {
          again.add(next);
        }
        if (caller.mayEnd()) {
          above = above == null ? caller.above : sets.union(above, caller.above);
        }
      }
      if (!again.isEmpty()) {
        enter(grammar.rule(callers[from].symbol.rule()), 0, sets.of(again));
      }
      if (above != null) {
        enter(callers[from].rule, callers[from].state, above);
      }
      from = to;
    }
  }
}
