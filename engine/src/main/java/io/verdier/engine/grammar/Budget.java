package io.verdier.engine.grammar;

import java.util.function.LongSupplier;

/**
 * What compiling one constraint may cost. Owned by the compiling thread. Every loop that a hostile
 * constraint could stretch asks here first, so that what is too large ends in a sentence and not in
 * a full heap.
 */
public final class Budget {
  private static final int CHECKS_PER_CLOCK = 4096;

  private final Limits limits;
  private final LongSupplier nanoTime;
  private final long startNanos;
  private long work;
  private int states;

  /**
   * @param states of all automata together, before they are made small
   * @param work elementary steps: edges followed, set members copied
   * @param nanos of time; looked at now and then
   */
  public record Limits(int states, long work, long nanos) {
    /** 50,000 states; some hundred million steps; 2 s. */
    public static Limits defaults() {
      return new Limits(50_000, 300_000_000, 2_000_000_000L);
    }
  }

  public Budget(Limits limits, LongSupplier nanoTime) {
    this.limits = limits;
    this.nanoTime = nanoTime;
    startNanos = nanoTime.getAsLong();
  }

  /** The default limits, by the system's clock. */
  public static Budget defaults() {
    return new Budget(Limits.defaults(), System::nanoTime);
  }

  /**
   * @throws GrammarException if there are too many
   */
  void state() {
    requireRoom(1);
    states++;
  }

  /**
   * @throws GrammarException if so many more states would be too many
   */
  void requireRoom(int more) {
    if (states + more > limits.states) {
      throw new GrammarException(
          "the constraint needs more than "
              + limits.states
              + " states. Make it smaller: lower the counts of repetitions, or allow more.");
    }
  }

  /**
   * @throws GrammarException if it is too much
   */
  void work(int steps) {
    long before = work / CHECKS_PER_CLOCK;
    work += steps;
    if (work > limits.work
        || (work / CHECKS_PER_CLOCK != before
            && nanoTime.getAsLong() - startNanos > limits.nanos)) {
      throw new GrammarException(
          "the constraint takes too long to prepare. Make it smaller or less ambiguous.");
    }
  }
}
