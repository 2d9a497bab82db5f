package io.verdier.verticles.observe;

import io.verdier.cache.kv.BlockObserver;
import java.util.Arrays;
import java.util.function.LongSupplier;

/**
 * How long blocks of the KV cache keep their contents, and how long these lie idle: of a share of
 * blocks, drawn when they are taken, as vLLM's {@code --kv-cache-metrics}. Owned by the scheduler
 * thread; its histograms are read by any.
 *
 * <p>All is told when a block is taken again: its life from taking to taking, the time since its
 * contents were last found (or computed), and the times between the last four finds. Nothing is
 * allocated; a block that was not drawn costs a look at one array, one that was a look at the
 * clock.
 */
final class BlockTimes implements BlockObserver {
  static final double[] BOUNDS = {
    .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800
  };

  private static final int FINDS_KEPT = 4; // vLLM's
  private static final int UNMEASURED = -1;

  private final double share;
  private final LongSupplier nanos;
  private final Exposition.Histogram life;
  private final Exposition.Histogram idle;
  private final Exposition.Histogram gap;
  private final int[] finds; // [blocks]; UNMEASURED: the block was not drawn
  private final long[] takenNanos; // [blocks]
  private final long[] foundNanos; // [blocks × FINDS_KEPT], each block's a ring
  private long random = 0x9E3779B97F4A7C15L;

  /**
   * @param blocks all there are
   * @param share of them to measure, 0 to 1
   * @param nanos a clock like {@link System#nanoTime}
   */
  BlockTimes(Exposition page, int blocks, double share, LongSupplier nanos) {
    this.share = share;
    this.nanos = nanos;
    life = histogram(page, "lifetime", "Time from a block's taking to its next.");
    idle = histogram(page, "idle_before_evict", "Time from a block's last use to its next taking.");
    gap = histogram(page, "reuse_gap", "Time between two finds of a block's contents.");
    finds = new int[blocks];
    Arrays.fill(finds, UNMEASURED);
    takenNanos = new long[blocks];
    foundNanos = new long[blocks * FINDS_KEPT];
  }

  private static Exposition.Histogram histogram(Exposition page, String what, String help) {
    return page.histogram("vllm:kv_block_" + what + "_seconds", help + " Sampled.", BOUNDS);
  }

  @Override
  public void onTaken(int block) {
    boolean drawn = isDrawn();
    if (finds[block] == UNMEASURED && !drawn) {
      return;
    }
    long now = nanos.getAsLong();
    if (finds[block] != UNMEASURED) {
      tell(block, now);
    }
    finds[block] = drawn ? 0 : UNMEASURED;
    takenNanos[block] = now;
  }

  @Override
  public void onFound(int block) {
    if (finds[block] != UNMEASURED) {
      foundNanos[place(block, finds[block]++)] = nanos.getAsLong();
    }
  }

  /** Lives that were cut short say nothing. */
  @Override
  public void onForgotten() {
    Arrays.fill(finds, UNMEASURED);
  }

  private void tell(int block, long now) {
    int count = finds[block];
    life.observe((now - takenNanos[block]) / 1e9);
    long last = count == 0 ? takenNanos[block] : foundNanos[place(block, count - 1)];
    idle.observe((now - last) / 1e9);
    for (int find = Math.max(1, count - FINDS_KEPT + 1); find < count; find++) {
      gap.observe((foundNanos[place(block, find)] - foundNanos[place(block, find - 1)]) / 1e9);
    }
  }

  private static int place(int block, int find) {
    return block * FINDS_KEPT + find % FINDS_KEPT;
  }

  /** Xorshift: which blocks are measured decides no answer. */
  private boolean isDrawn() {
    random ^= random << 13;
    random ^= random >>> 7;
    random ^= random << 17;
    return (random >>> 11) * 0x1p-53 < share;
  }
}
