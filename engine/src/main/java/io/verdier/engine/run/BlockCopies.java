package io.verdier.engine.run;

import io.verdier.cache.host.BlockCopy;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.schedule.StepPlan.Copies;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Makes the copies of plans between the cache and the host's memory. Owned by the executor thread.
 *
 * <p><b>Order on a device.</b> Copies run beside the steps, on queues of their own; what keeps them
 * in order is said here and nowhere else:
 *
 * <ol>
 *   <li>A plan's steps, and its copies in, wait for the copies out of the plan before: they may
 *       write the same blocks. Those began with that plan's step, so they are past.
 *   <li>They wait for the plan's own urgent copies: those save what they write.
 *   <li>A copy in waits for the steps before, which may read what the block held ({@link KvStorage}
 *       sees to that).
 *   <li>A plan is finished when all of its copies have been made.
 * </ol>
 *
 * On the CPU all of them are made at once.
 */
final class BlockCopies implements AutoCloseable {
  private final KvStorage cache;
  private final HostBlocks host;
  private final HostTier tier;
  private final Deque<List<HostCopy>> underWay = new ArrayDeque<>(2); // by plan, oldest first
  private @Nullable HostCopy out; // of the plan begun last
  private long nanos;

  /**
   * @param cache stays the caller's
   * @param tier closed with this, who reads and writes the memory first
   */
  BlockCopies(KvStorage cache, HostTier tier) {
    this.cache = cache;
    this.host = tier.blocks();
    this.tier = tier;
  }

  /** Begins the copies of a plan, before its steps are. */
  void begin(Copies copies) {
    long start = System.nanoTime();
    List<HostCopy> begun = new ArrayList<>(3);
    underWay.add(begun);
    if (out != null) {
      out.holdSteps();
      out = null;
    }
    if (!copies.urgent().isEmpty()) {
      HostCopy urgent = cache.copyOut(host, pairs(copies.urgent()));
      begun.add(urgent);
      urgent.holdSteps();
    }
    if (!copies.in().isEmpty()) {
      begun.add(cache.copyIn(host, pairs(copies.in())));
    }
    if (!copies.out().isEmpty()) {
      out = cache.copyOut(host, pairs(copies.out()));
      begun.add(out);
    }
    nanos += copies.isEmpty() ? 0 : System.nanoTime() - start;
  }

  private static List<HostBlocks.Pair> pairs(List<BlockCopy> copies) {
    return copies.stream().map(it -> new HostBlocks.Pair(it.block(), it.slot())).toList();
  }

  /** Waits for the copies of the plan that was begun first. */
  void finish() {
    List<HostCopy> oldest = underWay.remove();
    if (!oldest.isEmpty()) {
      long start = System.nanoTime();
      oldest.forEach(HostCopy::await);
      nanos += System.nanoTime() - start;
    }
  }

  /** The plan that was begun last is given up: none of its copies is under way any more. */
  void abandon() {
    underWay.removeLast().forEach(HostCopy::await);
  }

  /** Time that this thread has spent on copies. */
  long nanos() {
    return nanos;
  }

  @Override
  public void close() {
    tier.close();
  }
}
