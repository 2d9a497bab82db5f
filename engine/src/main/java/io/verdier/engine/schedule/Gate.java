package io.verdier.engine.schedule;

/** What an operator lets run. Owned by the scheduler thread. */
public final class Gate {
  private Flow flow = Flow.OPEN;
  private long arrivalsEnd; // while draining: who arrived then or later waits

  /** How much is run. */
  public enum Flow {
    OPEN,
    /** What has arrived by now runs to its end; what comes later waits. */
    DRAINING,
    /** Nothing: all stands where it is. */
    SHUT
  }

  Gate() {}

  /**
   * @param arrivals so far
   */
  void let(Flow next, long arrivals) {
    if (next == Flow.DRAINING && flow != Flow.DRAINING) {
      arrivalsEnd = arrivals;
    }
    flow = next;
  }

  boolean isShut() {
    return flow == Flow.SHUT;
  }

  /** Whether a sequence that waits may begin, as far as the operator matters. */
  boolean admits(Sequence sequence) {
    return flow != Flow.DRAINING || sequence.arrival() < arrivalsEnd;
  }
}
