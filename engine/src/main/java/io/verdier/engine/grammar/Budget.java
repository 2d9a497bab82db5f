package io.verdier.engine.grammar;

import java.util.function.LongSupplier;

/**
 * What compiling one constraint may cost. Owned by the compiling thread. Every loop that a hostile
 * constraint could stretch asks here first, so that what is too large ends in a sentence and not in
 * a full heap.
 */
public final class Budget {
  private static final int CHECKS_PER_CLOCK = 4096;

  private static final int FEW_RANGES = 4;

  /** What making a set takes, for each of its ranges. */
  private static final int RANGE_WORK = 20;

  private final Limits limits;
  private final LongSupplier nanoTime;
  private final long startNanos;
  private long work;
  private int states;
  private long held; // bytes

  /**
   * @param states of all automata together, before they are made small
   * @param work elementary steps: edges followed, set members copied
   * @param nanos of time; looked at now and then
   * @param bytes that it holds at a time: what is read of the constraint, expressions, automata
   *     that are being made, and those that are made, about
   */
  public record Limits(int states, long work, long nanos, long bytes) {
    private static final Limits DEFAULTS =
        new Limits(50_000, 300_000_000, 2_000_000_000L, 48L << 20);

    /**
     * 50,000 states; some hundred million steps; 2 s; 48 MiB, which with what is not counted, and
     * what arrays leave free, stays below 64.
     */
    public static Limits defaults() {
      return DEFAULTS;
    }

    /** The same in another time. */
    public Limits within(long other) {
      return new Limits(states, work, other, bytes);
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
   * Memory that is about to be taken.
   *
   * @throws GrammarException if that is too much
   */
  void hold(long bytes) {
    held += bytes;
    if (held > limits.bytes) {
      throw new GrammarException(
          "the constraint takes more than "
              + (limits.bytes >> 20)
              + " MiB of memory to prepare. Make it smaller: fewer large classes of characters, and"
              + " lower counts.");
    }
  }

  /** A set of characters; a small one is counted with the text that tells of it. */
  void hold(CodePoints set) {
    if (set.ranges() > FEW_RANGES) {
      hold(8L * set.ranges());
      work(RANGE_WORK * set.ranges());
    }
  }

  /** Memory that is no longer needed. */
  void release(long bytes) {
    held -= bytes;
  }

  /** What is held now. */
  long held() {
    return held;
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
