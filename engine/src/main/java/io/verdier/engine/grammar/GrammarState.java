package io.verdier.engine.grammar;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Where a text stands in a grammar: in which states of which rules it may be, each once, and who
 * called them. As a value immutable, so that going back is keeping the old one; what it remembers
 * for speed belongs to the thread that owns its {@link TokenGrammar}.
 */
public final class GrammarState {
  /** Never comes. */
  static final int FAR = Integer.MAX_VALUE;

  /** No state: no byte leads on, and the text does not match. */
  static final GrammarState NOWHERE = new GrammarState(new Place[0], false);

  private final Place[] places; // each takes bytes; by rule and state
  private final boolean mayEnd;
  private final int distance;
  private final int hash;

  // What the space that found it remembers.
  int generation;
  int visited; // the last piece of work that came here
  @Nullable Shape shape;
  @Nullable GrammarState @Nullable [] next; // by column of the shape; null: not known yet
  byte @Nullable [] costs; // what those took to find, powers of two; null: little
  long @Nullable [] paid; // bits of those that this piece of work has counted
  @Nullable GrammarState far;
  @Nullable GrammarState behind; // one character of this set, whichever
  ContentSet.@Nullable Key behindKey;
  int behindCost;
  @Nullable GrammarState renewed; // the same, in the generation that follows
  private @Nullable Object key;

  /** A state of a rule's automaton, and who called the rule. */
  record Place(ByteDfa rule, int state, Callers callers) {}

  GrammarState(Place[] places, boolean mayEnd) {
    this.places = places;
    this.mayEnd = mayEnd;
    int nearest = FAR;
    int sum = mayEnd ? 1 : 0;
    for (Place place : places) {
      nearest = Math.min(nearest, place.callers.distance());
      sum = 31 * sum + place.hashCode();
    }
    distance = nearest;
    hash = sum;
  }

  Place[] places() {
    return places;
  }

  /** Under which the mask is kept; it stands for this state, and does not keep it. */
  Object key() {
    Object known = key;
    if (known == null) {
      known = new Object();
      key = known;
    }
    return known;
  }

  void takeKeyOf(GrammarState other) {
    key = other.key();
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
