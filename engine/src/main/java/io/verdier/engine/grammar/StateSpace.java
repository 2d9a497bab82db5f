package io.verdier.engine.grammar;

import io.verdier.engine.grammar.GrammarState.Place;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The states of one grammar, found as texts get there. Owned by one thread.
 *
 * <p>Equal states are one object, so that what was once worked out for one holds for every text
 * that gets there. Their bytes are bounded: beyond that all are forgotten, between two pieces of
 * work, and found again as needed. Who still has a state of those has it {@linkplain #current made
 * anew}, which takes what is above it along.
 */
final class StateSpace {
  /** For all states of a grammar, beside those that are in use. */
  private static final int BYTES_MAX = 4 << 20;

  private final Grammar grammar;
  private final Effort effort;
  private final CallerSets callers;
  private final Closure closure;
  private final long bytesMax;
  private final Map<Key, GrammarState> states = new HashMap<>();
  private final Map<Shape, Shape> shapes = new HashMap<>(); // never more than there are states
  private int generation;
  private long bytes; // of states and shapes
  private long inUse; // of those that were made anew

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
    this(grammar, new Effort(), BYTES_MAX);
  }

  StateSpace(Grammar grammar, Effort effort, long bytesMax) {
    this.grammar = grammar;
    this.effort = effort;
    this.bytesMax = bytesMax;
    callers = new CallerSets(effort);
    closure = new Closure(grammar, callers, effort);
  }

  Grammar grammar() {
    return grammar;
  }

  Effort effort() {
    return effort;
  }

  /** Of what it knows, about. */
  long bytes() {
    return bytes + callers.bytes();
  }

  /**
   * The same state among those that are known now. Before a piece of work, and not within one: what
   * is too much is forgotten here.
   */
  GrammarState current(GrammarState state) {
    if (bytes() - inUse > bytesMax) {
      forget();
    }
    if (state.generation == generation) {
      return state;
    }
    GrammarState renewed = state.renewed;
    if (renewed == null || renewed.generation != generation) {
      renewed = renewed(state);
      state.renewed = renewed;
    }
    return renewed;
  }

  private GrammarState renewed(GrammarState old) {
    long before = bytes();
    effort.beginStep();
    Map<Callers, Callers> done = CallerSets.renewals();
    Place[] places = old.places().clone();
    for (int i = 0; i < places.length; i++) {
      Place place = places[i];
      places[i] = new Place(place.rule(), place.state(), callers.renewed(place.callers(), done));
    }
    GrammarState renewed = state(places, old.mayEnd());
    renewed.takeKeyOf(old);
    inUse += bytes() - before;
    return renewed;
  }

  /** Of the empty text. */
  GrammarState start() {
    begin();
    closure.enter(grammar.rule(0), 0, Callers.NONE);
    return close();
  }

  /** A place by itself, not followed to where it may be without taking a byte. */
  GrammarState at(Place place) {
    effort.beginStep();
    return state(new Place[] {place}, place.rule().accepts(place.state()));
  }

  /** Behind a called rule, once it has matched. */
  GrammarState after(Callers called) {
    begin();
    closure.leave(called);
    GrammarState after = close();
    effort.spendStep(effort.stepCost());
    return after;
  }

  /** The same with all counts out of reach of their limits. */
  GrammarState far(GrammarState state) {
    if (state.distance() == GrammarState.FAR) {
      return state;
    }
    GrammarState far = state.far;
    if (far == null) {
      Place[] places = state.places().clone();
      for (int i = 0; i < places.length; i++) {
        Place place = places[i];
        places[i] = new Place(place.rule(), place.state(), callers.far(place.callers()));
      }
      effort.beginStep();
      far = state(places, state.mayEnd());
      state.far = far;
    }
    return far;
  }

  /** Behind one more byte; null: nothing matches. */
  @Nullable GrammarState next(GrammarState state, int value) {
    Shape shape = state.shape == null ? shape(state) : state.shape;
    if (state.visited != effort.piece()) {
      state.visited = effort.piece();
      if (state.paid != null) {
        Arrays.fill(state.paid, 0);
      }
      effort.spend(shape.columnCount());
    }
    int column = shape.column(grammar.classOf(value));
    if (column == 0) {
      return null;
    }
    @Nullable GrammarState[] next = state.next;
    GrammarState found = next == null ? null : next[column];
    if (found == null) {
      return step(state, shape, column);
    }
    if (state.costs != null) {
      pay(state, column);
    }
    return found;
  }

  /** As {@link #next}, without remembering: what the rest must agree with. */
  @Nullable GrammarState stepped(GrammarState state, int value) {
    return target(state, value);
  }

  private @Nullable GrammarState step(GrammarState state, Shape shape, int column) {
    GrammarState found = target(state, shape.example(column));
    byte cost = effort.stepCost();
    if (state.next == null) {
      state.next = new GrammarState[shape.columnCount()];
      bytes += 16 + 4L * shape.columnCount();
    }
    state.next[column] = found;
    if (cost != 0) {
      if (state.costs == null) {
        state.costs = new byte[shape.columnCount()];
        state.paid = new long[shape.columnCount() / Long.SIZE + 1];
        bytes += 40 + 2L * shape.columnCount();
      }
      state.costs[column] = cost;
      pay(state, column);
    }
    return found;
  }

  /** Each step counts once in a piece of work, in which nothing is forgotten. */
  private void pay(GrammarState state, int column) {
    byte[] costs = Objects.requireNonNull(state.costs);
    long[] paid = Objects.requireNonNull(state.paid);
    long bit = 1L << column;
    if ((paid[column / Long.SIZE] & bit) == 0) {
      paid[column / Long.SIZE] |= bit;
      effort.spendStep(costs[column]);
    }
  }

  Shape shape(GrammarState state) {
    if (state.shape != null) {
      return state.shape;
    }
    Shape shape = shapes.get(Shape.key(state));
    if (shape == null) {
      shape = Shape.key(state).completed(grammar);
      shapes.put(shape, shape);
      bytes += shape.bytes();
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
      if (place.rule().isPlain(target) && place.rule().counts() == null) {
        effort.beginStep();
        return state(new Place[] {new Place(place.rule(), target, place.callers())}, false);
      }
    }
    begin();
    for (Place place : places) {
      int target = place.rule().next(place.state(), value);
      if (target != ByteDfa.DEAD) {
        closure.reach(place.rule(), target, place.callers());
      }
    }
    return closure.isEmpty() ? null : close();
  }

  private void begin() {
    callers.begin();
    closure.begin();
  }

  private GrammarState close() {
    Place[] places = closure.close();
    return state(places, closure.mayEnd());
  }

  private GrammarState state(Place[] places, boolean mayEnd) {
    callers.requireFew(places); // known ones too: what it takes must not tell whether they are
    GrammarState made = new GrammarState(places, mayEnd);
    GrammarState known = states.putIfAbsent(new Key(made), made);
    if (known != null) {
      return known;
    }
    made.generation = generation;
    bytes += 200 + 40L * places.length;
    return made;
  }

  private void forget() {
    for (GrammarState state : states.values()) {
      state.next = null;
      state.costs = null;
      state.paid = null;
      state.far = null;
      state.behind = null;
      state.behindKey = null;
    }
    states.clear();
    shapes.clear();
    callers.clear();
    bytes = 0;
    inUse = 0;
    generation++;
  }
}
