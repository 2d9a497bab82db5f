package io.verdier.engine.grammar;

import io.verdier.engine.grammar.Callers.Caller;
import io.verdier.engine.grammar.GrammarState.Place;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The sets of callers of one space, each once. Owned by the space's thread.
 *
 * <p>Stacks may be as deep as a text is long, so that only what is bounded goes by recursion.
 */
final class CallerSets {
  /** Levels at which two sets differ and are made one: each takes a frame of the thread's stack. */
  private static final int UNION_DEPTH_MAX = 500;

  /** Callers and sets of a state: 200,000 levels of one reading, some 30 MB. */
  private static final int NODES_MAX = 400_000;

  /** Callers and sets looked at that cost what entering a place does. */
  private static final int NODES_PER_STEP = 16;

  private final Effort effort;
  private final Map<Key, Callers> known = new HashMap<>();
  private final Map<Pair, Callers> unions = new HashMap<>(); // of this step
  private final ArrayDeque<Callers> pending = new ArrayDeque<>();
  private long bytes;
  private int counts;

  private record Pair(Callers first, Callers second) {}

  /** A set by its stacks. */
  private record Key(Callers set) {
    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof Key key && set.isLike(key.set);
    }

    @Override
    public int hashCode() {
      return set.hash();
    }
  }

  CallerSets(Effort effort) {
    this.effort = effort;
  }

  /** Of what it holds, about. */
  long bytes() {
    return bytes;
  }

  void clear() {
    known.clear();
    bytes = 0;
  }

  /** A new step: what it takes is the same whatever came before it. */
  void begin() {
    effort.beginStep();
    pending.clear(); // of one that was given up
    if (!unions.isEmpty()) {
      unions.clear();
    }
  }

  Callers of(Caller one) {
    return once(new Callers(false, new Caller[] {one}));
  }

  /**
   * @param counted in order; some may have become alike
   */
  Callers of(List<Caller> counted) {
    Caller[] callers = new Caller[counted.size()];
    int size = 0;
    for (Caller caller : counted) {
      if (size > 0 && callers[size - 1].compareTo(caller) == 0) { // counts that no longer matter
        Callers above = union(callers[size - 1].above, caller.above);
        callers[size - 1] = caller.under(above);
      } else {
        callers[size++] = caller;
      }
    }
    return once(new Callers(false, Arrays.copyOf(callers, size)));
  }

  private Callers once(Callers made) {
    Callers same = known.putIfAbsent(new Key(made), made);
    if (same == null) {
      bytes += 120 + 60L * made.callers.length;
      return made;
    }
    return same;
  }

  /** The stacks of both. */
  Callers union(Callers first, Callers second) {
    return union(first, second, 0);
  }

  private Callers union(Callers first, Callers second, int depth) {
    if (first == second) {
      return first;
    }
    if (depth > UNION_DEPTH_MAX) {
      throw new GrammarException(
          "the constraint is too ambiguous: the readings of a text differ in too many levels");
    }
    Pair pair = new Pair(first, second);
    Callers done = unions.get(pair);
    if (done == null) {
      effort.step(first.callers.length + second.callers.length);
      Caller[] merged = merged(first.callers, second.callers, depth);
      done = once(new Callers(first.hasNone || second.hasNone, merged));
      unions.put(pair, done);
    }
    return done;
  }

  private Caller[] merged(Caller[] first, Caller[] second, int depth) {
    Caller[] merged = new Caller[first.length + second.length];
    int size = 0;
    int i = 0;
    int j = 0;
    while (i < first.length && j < second.length) {
      int order = first[i].compareTo(second[j]);
      if (order == 0) {
        Caller one = first[i++];
        Callers above = union(one.above, second[j++].above, depth + 1);
        merged[size++] = above == one.above ? one : one.under(above);
      } else {
        merged[size++] = order < 0 ? first[i++] : second[j++];
      }
    }
    while (i < first.length) {
      merged[size++] = first[i++];
    }
    while (j < second.length) {
      merged[size++] = second[j++];
    }
    return size == merged.length ? merged : Arrays.copyOf(merged, size);
  }

  /** With all counts out of reach of their limits. */
  Callers far(Callers near) {
    pending.push(near);
    while (true) {
      Callers at = pending.element();
      int before = pending.size();
      for (Caller caller : at.callers) {
        if (isNear(caller.above)) {
          pending.push(caller.above);
        }
      }
      if (pending.size() == before) {
        pending.pop();
        if (isNear(at)) {
          at.far = farther(at);
        }
        if (pending.isEmpty()) {
          return farOrSame(near);
        }
      }
    }
  }

  /** Whether it has counts that are not out of reach, and who that would be is not known. */
  private static boolean isNear(Callers callers) {
    return callers.distance() != GrammarState.FAR && callers.far == null;
  }

  private static Callers farOrSame(Callers callers) {
    return callers.far == null ? callers : callers.far;
  }

  private Callers farther(Callers near) {
    effort.beginStep();
    unions.clear();
    Callers all = near.hasNone ? Callers.NONE : null;
    for (Caller caller : near.callers) {
      Callers one = of(caller.far(farOrSame(caller.above)));
      all = all == null ? one : union(all, one);
    }
    return all == null ? near : all;
  }

  /** The same sets in this space, of one that was forgotten. */
  Callers renewed(Callers old, Map<Callers, Callers> done) {
    pending.push(old);
    while (!pending.isEmpty()) {
      Callers at = pending.element();
      int before = pending.size();
      for (Caller caller : at.callers) {
        if (caller.above != Callers.NONE && !done.containsKey(caller.above)) {
          pending.push(caller.above);
        }
      }
      if (pending.size() > before) {
        continue;
      }
      pending.pop();
      if (at != Callers.NONE && !done.containsKey(at)) {
        List<Caller> callers = new ArrayList<>();
        for (Caller caller : at.callers) {
          callers.add(caller.under(done.getOrDefault(caller.above, Callers.NONE)));
        }
        done.put(at, once(new Callers(at.hasNone, callers.toArray(Caller[]::new))));
      }
    }
    return done.getOrDefault(old, Callers.NONE);
  }

  static Map<Callers, Callers> renewals() {
    return new IdentityHashMap<>();
  }

  /**
   * @throws GrammarException if who called these places is more than there may be
   */
  void requireFew(Place[] places) {
    if (bound(places, false) <= NODES_MAX || bound(places, true) <= NODES_MAX) {
      return; // nearly always
    }
    int nodes = 0;
    counts++;
    for (Place place : places) {
      mark(place.callers());
    }
    while (!pending.isEmpty()) {
      Callers at = pending.pop();
      nodes += 1 + at.callers.length;
      if (nodes > NODES_MAX) {
        pending.clear();
        throw new GrammarException("the answer is nested too deeply, or in too many ways");
      }
      for (Caller caller : at.callers) {
        mark(caller.above);
      }
    }
    effort.step(nodes / NODES_PER_STEP);
  }

  /**
   * How many there are at most.
   *
   * @param isCloser without those that are seen to be part of others: readings differ in the last
   *     few levels, mostly
   */
  private static long bound(Place[] places, boolean isCloser) {
    long bound = 0;
    for (int i = 0; i < places.length; i++) {
      Callers callers = places[i].callers();
      boolean isPart = false;
      for (int j = 0; isCloser && !isPart && j < places.length; j++) {
        Callers other = places[j].callers();
        isPart = callers == other ? j < i : other.isBelow(callers);
      }
      bound += isPart ? 0 : callers.weight();
    }
    return bound;
  }

  private void mark(Callers callers) {
    if (callers != Callers.NONE && callers.marked != counts) {
      callers.marked = counts;
      pending.push(callers);
    }
  }
}
