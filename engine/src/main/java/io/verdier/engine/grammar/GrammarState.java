package io.verdier.engine.grammar;

import io.verdier.engine.grammar.CallSymbols.Symbol;
import io.verdier.engine.grammar.Expression.Repeat;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where a text stands in a grammar: in which states of which rules it may be, and what called them.
 * As a value immutable, so that going back is keeping the old one; what it remembers for speed
 * belongs to the thread that owns its {@link TokenGrammar}.
 */
public final class GrammarState {
  /** Never comes. */
  static final int FAR = Integer.MAX_VALUE;

  /** No state: no byte leads on, and the text does not match. */
  static final GrammarState NOWHERE = new GrammarState(new Place[0], false);

  private final Place[] places; // each takes bytes
  private final boolean mayEnd;
  private final int distance;
  private final int hash;

  // What the space that found it remembers.
  int generation;
  @Nullable Shape shape;
  @Nullable GrammarState @Nullable [] next; // by column of the shape; null: not known yet
  @Nullable GrammarState far;
  @Nullable GrammarState behind; // one character of this set, whichever
  ContentSet.@Nullable Key behindKey;

  /** A state of a rule's automaton, and who called the rule; null: nobody, it is the first. */
  record Place(ByteDfa rule, int state, @Nullable Caller caller) {}

  /** Who called a rule, and where it goes on behind it. */
  static final class Caller {
    /** A count from which neither limit of a repetition can be reached: it may end. */
    private static final int ANY_OPEN = -1;

    /** As {@link #ANY_OPEN}, where it may not end yet. */
    private static final int ANY_CLOSED = -2;

    final ByteDfa rule;
    final int state; // behind the call
    final Symbol symbol;
    final int count; // how often the called rule has matched; 0 where it is called once
    final @Nullable Caller caller;
    private final int distance;
    private final int hash;
    private @Nullable Caller far;

    Caller(ByteDfa rule, int state, Symbol symbol, int count, @Nullable Caller caller) {
      this.rule = rule;
      this.state = state;
      this.symbol = symbol;
      this.count = count;
      this.caller = caller;
      int above = caller == null ? 0 : caller.hash;
      hash = 31 * (31 * (31 * (31 * rule.hashCode() + state) + symbol.rule()) + count) + above;
      distance = Math.min(ownDistance(), caller == null ? FAR : caller.distance);
    }

    /** The called rule has matched once more; this is who calls it then, if it may match again. */
    @Nullable Caller again() {
      if (count < 0) {
        return this;
      }
      if (count + 1 >= symbol.max()) {
        return null;
      }
      boolean isUnbounded = symbol.max() == Repeat.UNBOUNDED;
      int counted = isUnbounded ? Math.min(count + 1, symbol.min()) : count + 1; // no more matters
      return new Caller(rule, state, symbol, counted, caller);
    }

    /** Whether the called rule, when it has matched once more, has matched often enough. */
    boolean mayEnd() {
      return count == ANY_OPEN || (count >= 0 && count + 1 >= symbol.min());
    }

    private int ownDistance() {
      if (count < 0 || symbol.max() == 1) {
        return FAR;
      }
      if (count < symbol.min()) {
        return symbol.min() - count;
      }
      return symbol.max() == Repeat.UNBOUNDED ? FAR : symbol.max() - count;
    }

    /** With all counts out of reach of their limits. Goes up the stack, not by recursion. */
    Caller far() {
      List<Caller> nearer = new ArrayList<>();
      Caller at = this;
      while (at != null && at.distance != FAR && at.far == null) {
        nearer.add(at);
        at = at.caller;
      }
      Caller above = at == null || at.distance == FAR ? at : at.far;
      for (Caller one : nearer.reversed()) {
        int any = one.count < one.symbol.min() ? ANY_CLOSED : ANY_OPEN;
        int counted = one.ownDistance() == FAR ? one.count : any;
        above = new Caller(one.rule, one.state, one.symbol, counted, above);
        one.far = above;
      }
      return above == null ? this : above;
    }

    @Override
    public int hashCode() {
      return hash;
    }

    /** Compares along the stack, not by recursion: it may be deep. */
    @Override
    public boolean equals(@Nullable Object other) {
      Caller a = this;
      Caller b = other instanceof Caller c ? c : null;
      while (a != b) {
        if (a == null || b == null || a.hash != b.hash || !a.isLike(b)) {
          return false;
        }
        a = a.caller;
        b = b.caller;
      }
      return true;
    }

    private boolean isLike(Caller other) {
      return rule == other.rule
          && state == other.state
          && symbol.equals(other.symbol)
          && count == other.count;
    }
  }

  GrammarState(Place[] places, boolean mayEnd) {
    this.places = places;
    this.mayEnd = mayEnd;
    int nearest = FAR;
    int sum = mayEnd ? 1 : 0;
    for (Place place : places) {
      nearest = place.caller == null ? nearest : Math.min(nearest, place.caller.distance);
      sum = 31 * sum + place.hashCode();
    }
    distance = nearest;
    hash = sum;
  }

  Place[] places() {
    return places;
  }

  /**
   * Bytes after which a counted repetition may reach one of its limits; {@link #FAR}: never. Each
   * round takes at least one.
   */
  int distance() {
    return distance;
  }

  /** Whether the text so far matches as it is. */
  public boolean mayEnd() {
    return mayEnd;
  }

  /** Whether the text so far matches and no longer one does. */
  public boolean mustEnd() {
    return places.length == 0;
  }

  /** Whether both go on alike. A space has each once, so that elsewhere identity says so. */
  boolean isLike(GrammarState other) {
    return hash == other.hash && mayEnd == other.mayEnd && Arrays.equals(places, other.places);
  }

  /** Of what {@link #isLike} compares. */
  int hash() {
    return hash;
  }
}
