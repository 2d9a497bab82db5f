package io.verdier.cache.host;

import java.util.Arrays;

/**
 * Slots of host memory whose contents one sequence gets, in order. Owned by the scheduler thread.
 *
 * <pre>
 *   slots   done ……… planned ……… count
 *          copied   under way   still to plan
 * </pre>
 *
 * Every slot is pinned from the beginning until its copy is done or given up.
 */
public final class HostLoad {
  private final int[] slots;
  private int count;
  private int planned;
  private int settled;
  private int done; // before the first copy that failed

  HostLoad(int[] slots) {
    this.slots = slots.clone();
    count = slots.length;
  }

  /** Slots still to plan. */
  public int missing() {
    return count - planned;
  }

  /** Plans the next slots. */
  public int[] plan(int more) {
    int[] next = Arrays.copyOfRange(slots, planned, planned + more);
    planned += more;
    return next;
  }

  /** How many are planned so far. */
  public int planned() {
    return planned;
  }

  /**
   * The slots planned first are done with.
   *
   * @param made whether their contents have come
   * @return the slots
   */
  int[] settle(int copies, boolean made) {
    int[] those = Arrays.copyOfRange(slots, settled, settled + copies);
    done += made && done == settled ? copies : 0;
    settled += copies;
    return those;
  }

  /**
   * Nothing more is planned.
   *
   * @return the slots that will not be copied
   */
  int[] cut() {
    int[] rest = Arrays.copyOfRange(slots, planned, count);
    count = planned;
    return rest;
  }

  /** Whether nothing is under way or still to plan. */
  public boolean isOver() {
    return settled == count;
  }

  /** Leading slots whose contents have come. */
  public int done() {
    return done;
  }
}
