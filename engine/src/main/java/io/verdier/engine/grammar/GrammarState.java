package io.verdier.engine.grammar;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where a text stands in a grammar: in which states of which rules it may be, and what called them.
 * As a value immutable, so that going back is keeping the old one; what it remembers for speed
 * belongs to the thread that owns its {@link TokenGrammar}.
 */
public final class GrammarState {
  private final List<Place> places; // each takes bytes
  private final boolean mayEnd;

  // What its owner has found out; by byte class of the grammar.
  final @Nullable GrammarState[] next;
  final boolean[] isKnown;
  long @Nullable [] allowed;

  /** A state of a rule's automaton, and who called the rule; null: nobody, it is the first. */
  record Place(ByteDfa rule, int state, @Nullable Caller caller) {}

  /** Who called a rule, and where it goes on behind it. */
  static final class Caller {
    final ByteDfa rule;
    final int state; // behind the call
    final int symbol;
    final int count; // how often the called rule has matched; 0 where it is called once
    final @Nullable Caller caller;
    private final int hash;

    Caller(ByteDfa rule, int state, int symbol, int count, @Nullable Caller caller) {
      this.rule = rule;
      this.state = state;
      this.symbol = symbol;
      this.count = count;
      this.caller = caller;
      int above = caller == null ? 0 : caller.hash;
      hash =
          31 * (31 * (31 * (31 * System.identityHashCode(rule) + state) + symbol) + count) + above;
    }

    Caller counted(int times) {
      return new Caller(rule, state, symbol, times, caller);
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
          && symbol == other.symbol
          && count == other.count;
    }
  }

  GrammarState(List<Place> places, boolean mayEnd, int classCount) {
    this.places = places;
    this.mayEnd = mayEnd;
    next = new GrammarState[classCount];
    isKnown = new boolean[classCount];
  }

  List<Place> places() {
    return places;
  }

  /** Whether the text so far matches as it is. */
  public boolean mayEnd() {
    return mayEnd;
  }

  /** Whether the text so far matches and no longer one does. */
  public boolean mustEnd() {
    return places.isEmpty();
  }
}
