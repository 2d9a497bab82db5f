package io.verdier.engine.grammar;

import io.verdier.engine.grammar.CallSymbols.Symbol;
import io.verdier.engine.grammar.GrammarState.Caller;
import io.verdier.engine.grammar.GrammarState.Place;
import java.util.ArrayList;
import java.util.Arrays;
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
 * that gets there. Their bytes are bounded: beyond that all are forgotten, and found again as
 * needed. A forgotten state that is still in use leads nowhere but where it is asked to, so that it
 * does not keep the others.
 */
final class StateSpace {
  /** For all states of a grammar. */
  private static final int BYTES_MAX = 4 << 20;

  /** Places in a state; only an ambiguous grammar has more than a few. */
  private static final int PLACES_MAX = 4096;

  /**
   * Places entered, and some nodes of the vocabulary's tree passed, in one call of the owner: some
   * tens of milliseconds. An honest grammar takes a hundredth of it.
   */
  private static final int WORK_MAX = 1 << 17;

  private final Grammar grammar;
  private final int statesMax;
  private final Map<Key, GrammarState> states = new HashMap<>();
  private final Map<Shape, Shape> shapes = new HashMap<>(); // never more than there are states
  private int generation;
  private int work;

  // The closure that is being made.
  private final Set<Place> known = new HashSet<>();
  private final List<Place> reached = new ArrayList<>();
  private boolean mayEnd;

  /** A state by its value. */
  private record Key(GrammarState state) {
    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof Key key && state.isLike(key.state);
    }

    @Override
    public int hashCode() {
      return state.hash();
    }
  }

  StateSpace(Grammar grammar) {
    this.grammar = grammar;
    statesMax = BYTES_MAX / stateBytes();
  }

  private int stateBytes() {
    return 400 + grammar.classCount();
  }

  Grammar grammar() {
    return grammar;
  }

  /** Of the states it knows, about. */
  long bytes() {
    return (long) states.size() * stateBytes();
  }

  /** A new call of the owner: what it may cost is counted from here. */
  void renew() {
    work = 0;
  }

  /**
   * @throws GrammarException if it is too much
   */
  void spend(int steps) {
    work += steps;
    if (work > WORK_MAX) {
      throw new GrammarException(
          "the constraint is too ambiguous: what may come next takes too long to find");
    }
  }

  /** Of the empty text. */
  GrammarState start() {
    begin();
    enter(grammar.rule(0), 0, null);
    return close();
  }

  /** A place by itself, not followed to where it may be without taking a byte. */
  GrammarState at(Place place) {
    return state(new Place[] {place}, place.rule().accepts(place.state()));
  }

  /** Behind a called rule, once it has matched. */
  GrammarState after(Caller caller) {
    begin();
    leave(caller);
    return close();
  }

  /** The same with all counts out of reach of their limits. */
  GrammarState far(GrammarState state) {
    if (state.distance() == GrammarState.FAR) {
      return state;
    }
    GrammarState far = state.far;
    if (far == null) {
      begin();
      for (Place place : state.places()) {
        Caller caller = place.caller();
        enter(place.rule(), place.state(), caller == null ? null : caller.far());
      }
      far = state(reached.toArray(Place[]::new), state.mayEnd());
      if (state.generation == generation) {
        state.far = far;
      }
    }
    return far;
  }

  /** Behind one more byte; null: nothing matches. */
  @Nullable GrammarState next(GrammarState state, int value) {
    Shape shape = state.shape == null ? shape(state) : state.shape;
    int column = shape.column(grammar.classOf(value));
    if (column == 0) {
      return null;
    }
    @Nullable GrammarState[] next = state.next;
    GrammarState found = next == null ? null : next[column];
    return found == null ? step(state, shape, column) : found;
  }

  /** As {@link #next}, without remembering: what the rest must agree with. */
  @Nullable GrammarState stepped(GrammarState state, int value) {
    return target(state, value);
  }

  private @Nullable GrammarState step(GrammarState state, Shape shape, int column) {
    GrammarState found = target(state, shape.example(column));
    if (state.generation == generation) {
      if (state.next == null) {
        state.next = new GrammarState[shape.columnCount()];
      }
      state.next[column] = found;
    }
    return found;
  }

  Shape shape(GrammarState state) {
    if (state.shape != null) {
      return state.shape;
    }
    Shape shape = shapes.get(Shape.key(state));
    if (shape == null) {
      shape = Shape.key(state).completed(grammar);
      shapes.put(shape, shape);
    }
    state.shape = shape;
    return shape;
  }

  private @Nullable GrammarState target(GrammarState state, int value) {
    Place[] places = state.places();
    if (places.length == 1) { // nearly always
      Place place = places[0];
      int target = place.rule().next(place.state(), value);
      if (target == ByteDfa.DEAD) {
        return null;
      }
      if (place.rule().isPlain(target)) {
        return state(new Place[] {new Place(place.rule(), target, place.caller())}, false);
      }
    }
    begin();
    for (Place place : places) {
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
    spend(1);
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
    int size = 0;
    Place[] places = new Place[reached.size()];
    for (Place place : reached) {
      if (place.rule().takesBytes(place.state())) {
        places[size++] = place;
      }
    }
    return state(size == places.length ? places : Arrays.copyOf(places, size), mayEnd);
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
    Caller from = isLast ? place.caller() : new Caller(rule, behind, called, 0, place.caller());
    enter(grammar.rule(called.rule()), 0, from);
  }

  /** A called rule has matched. */
  private void leave(@Nullable Caller caller) {
    if (caller == null) {
      mayEnd = true;
      return;
    }
    Caller again = caller.again();
    if (again != null) {
      enter(grammar.rule(caller.symbol.rule()), 0, again);
    }
    if (caller.mayEnd()) {
      enter(caller.rule, caller.state, caller.caller);
    }
  }

  private GrammarState state(Place[] places, boolean mayEnd) {
    GrammarState made = new GrammarState(places, mayEnd);
    Key key = new Key(made);
    GrammarState known = states.get(key);
    if (known != null) {
      return known;
    }
    if (states.size() >= statesMax) {
      forget();
    }
    made.generation = generation;
    states.put(key, made);
    return made;
  }

  private void forget() {
    for (GrammarState state : states.values()) {
      state.next = null;
      state.far = null;
      state.behind = null;
    }
    states.clear();
    shapes.clear();
    generation++;
  }
}
