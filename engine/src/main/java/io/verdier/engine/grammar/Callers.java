package io.verdier.engine.grammar;

import io.verdier.engine.grammar.CallSymbols.Symbol;
import io.verdier.engine.grammar.Expression.Repeat;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Who may have called a rule, who called those, and so on up to the first rule: the stacks of all
 * readings of a text that are in the same state of the same rule. Immutable, but for what the
 * thread remembers that owns its {@link StateSpace}.
 *
 * <p>Readings that differ share what they have in common: two that were nested in different ways n
 * times are 2^n stacks, and n of these objects, of which each leads to the same one above (Tomita's
 * graph-structured stack, 1985, as a value). A {@link StateSpace} has each set once, so that sets
 * with the same stacks are one object; its callers are in order, and no two are alike.
 *
 * <pre>
 *   {b, c} → {b, c} → {none}        stands for  bb, bc, cb and cc
 * </pre>
 */
final class Callers {
  /** Nobody: it is the first rule. */
  static final Callers NONE = new Callers(true, new Caller[0]);

  private static final int WEIGHT_MAX = 1 << 30;

  final boolean hasNone;
  final Caller[] callers;
  private final int distance;
  private final int depth;
  private final int weight;
  private final int hash;

  // What the space remembers.
  @Nullable Callers far;
  int marked; // the last count that it was part of

  /** Who called a rule, and where it goes on behind it. Immutable. */
  static final class Caller implements Comparable<Caller> {
    /** A count from which neither limit of a repetition can be reached: it may end. */
    private static final int ANY_OPEN = -1;

    /** As {@link #ANY_OPEN}, where it may not end yet. */
    private static final int ANY_CLOSED = -2;

    final ByteDfa rule;
    final int state; // behind the call
    final Symbol symbol;
    final int count; // how often the called rule has matched, or how many characters it has
    final Callers above;
    private final int reserve; // characters that it may take to end

    Caller(ByteDfa rule, int state, Symbol symbol, int count, Callers above, int reserve) {
      this.reserve = reserve;
      this.rule = rule;
      this.state = state;
      this.symbol = symbol;
      this.count = count;
      this.above = above;
    }

    Caller under(Callers other) {
      return new Caller(rule, state, symbol, count, other, reserve);
    }

    /** The called rule has matched once more; this is who calls it then, if it may match again. */
    @Nullable Caller again() {
      return symbol.isOfCharacters() || count + 1 >= symbol.max() ? null : oneMore();
    }

    /** With a count of one more. */
    Caller oneMore() {
      if (count < 0) {
        return this;
      }
      boolean isUnbounded = symbol.max() == Repeat.UNBOUNDED;
      int counted = isUnbounded ? Math.min(count + 1, symbol.min()) : count + 1; // no more matters
      return new Caller(rule, state, symbol, counted, above, reserve);
    }

    /** Whether a text of the called rule, which is in this state, can end within its bounds. */
    boolean canEnd(CharacterCounts counts, int state) {
      return count < 0 || counts.canEnd(state, count, symbol.min(), symbol.max());
    }

    /** Whether it can with more characters. */
    boolean goesOn(CharacterCounts counts, int state) {
      return count < 0 || counts.goesOn(state, count, symbol.min(), symbol.max());
    }

    /** Whether the called rule, when it has matched once more, has matched often enough. */
    boolean mayEnd() {
      if (symbol.isOfCharacters()) {
        return count == ANY_OPEN || count >= symbol.min();
      }
      return count == ANY_OPEN || (count >= 0 && count + 1 >= symbol.min());
    }

    private int ownDistance() {
      if (count < 0 || symbol.isPlain()) {
        return GrammarState.FAR;
      }
      if (count < symbol.min()) {
        return symbol.isOfCharacters() ? 1 : symbol.min() - count;
      }
      boolean isUnbounded = symbol.max() == Repeat.UNBOUNDED;
      return isUnbounded ? GrammarState.FAR : Math.max(1, symbol.max() - count - reserve);
    }

    /** With its count out of reach of its limits. */
    Caller far(Callers above) {
      int any = count < symbol.min() ? ANY_CLOSED : ANY_OPEN;
      int counted = ownDistance() == GrammarState.FAR ? count : any;
      return new Caller(rule, state, symbol, counted, above, reserve);
    }

    /** Whether both are of the same call, if not of the same count. */
    boolean isBeside(Caller other) {
      return rule == other.rule && state == other.state && symbol.equals(other.symbol);
    }

    /** By all but who is above. */
    @Override
    public int compareTo(Caller other) {
      int order = Integer.compare(rule.number(), other.rule.number());
      order = order != 0 ? order : Integer.compare(state, other.state);
      order = order != 0 ? order : Integer.compare(symbol.rule(), other.symbol.rule());
      order = order != 0 ? order : Integer.compare(symbol.min(), other.symbol.min());
      order = order != 0 ? order : Integer.compare(symbol.max(), other.symbol.max());
      // Whether its rule counts characters is a matter of the rule.
      return order != 0 ? order : Integer.compare(count, other.count);
    }

    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof Caller caller && compareTo(caller) == 0 && above == caller.above;
    }

    @Override
    public int hashCode() {
      int called = 31 * (31 * (31 * rule.number() + state) + symbol.rule()) + count;
      return 31 * called + above.hash;
    }
  }

  /**
   * @param hasNone whether nobody is one of those who may have called
   * @param callers in order
   */
  Callers(boolean hasNone, Caller[] callers) {
    this.hasNone = hasNone;
    this.callers = callers;
    int nearest = GrammarState.FAR;
    int deepest = 0;
    long sum = 1;
    int mixed = hasNone ? 1 : 0;
    for (Caller caller : callers) {
      nearest = Math.min(nearest, Math.min(caller.ownDistance(), caller.above.distance));
      deepest = Math.max(deepest, 1 + caller.above.depth);
      sum += 1 + caller.above.weight;
      mixed = 31 * mixed + caller.hashCode();
    }
    distance = nearest;
    depth = deepest;
    weight = (int) Math.min(WEIGHT_MAX, sum);
    hash = mixed;
  }

  /** Whether the rule may be another than the first. */
  boolean isCalled() {
    return callers.length > 0;
  }

  /** Whether a set is directly above some of these. */
  boolean isBelow(Callers set) {
    for (Caller caller : callers) {
      if (caller.above == set) {
        return true;
      }
    }
    return false;
  }

  /** As {@link GrammarState#distance}. */
  int distance() {
    return distance;
  }

  /** Callers above each other, at most. */
  int depth() {
    return depth;
  }

  /** How many callers and sets there are if each that is shared is counted as often: a bound. */
  int weight() {
    return weight;
  }

  /**
   * Whether both are the same stacks; the sets above must be of one space. That has each once, so
   * that elsewhere identity says so.
   */
  boolean isLike(Callers other) {
    return hash == other.hash && hasNone == other.hasNone && Arrays.equals(callers, other.callers);
  }

  /** Of what {@link #isLike} compares. */
  int hash() {
    return hash;
  }
}
