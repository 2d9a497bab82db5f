package io.verdier.engine.run;

import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Runs plans without a model: every step takes the same time, and the token at a position is the
 * same for every sequence. Owned by the executor thread. With it, what a benchmark sees is the
 * server alone.
 */
public final class NullRunner implements StepRunner {
  private static final int PLANS_MAX = 2;

  /** Sleeping overshoots by some ten microseconds, so the end of a step is waited for awake. */
  private static final long AWAKE_NANOS = 100_000;

  private final int[] vocabulary;
  private final long stepNanos;
  private final Deque<StepOutcome> begun = new ArrayDeque<>(PLANS_MAX); // oldest first
  private final long[] dueNanos = new long[PLANS_MAX]; // by number of the plan
  private long begins;

  /**
   * @param vocabulary ids of plain printable tokens, none of which ends a sequence; not empty
   * @param step what a step takes; zero: nothing
   */
  public NullRunner(int[] vocabulary, Duration step) {
    if (vocabulary.length == 0) {
      throw new IllegalArgumentException("a vocabulary without tokens");
    }
    this.vocabulary = vocabulary.clone();
    stepNanos = step.toNanos();
  }

  @Override
  public void begin(StepPlan plan) {
    if (begun.size() == PLANS_MAX) {
      throw new IllegalStateException(PLANS_MAX + " plans are under way");
    }
    long start = System.nanoTime();
    if (!begun.isEmpty()) {
      start = Math.max(start, dueNanos[turn(begins - 1)]); // when the one before is done
    }
    dueNanos[turn(begins++)] = start + stepNanos;
    int sampling = 0;
    for (StepPlan.Slice slice : plan.slices()) {
      sampling += slice.samples() ? 1 : 0;
    }
    long[] keys = new long[sampling];
    int[] tokens = new int[sampling];
    int i = 0;
    for (StepPlan.Slice slice : plan.slices()) {
      if (slice.samples()) {
        keys[i] = slice.key();
        tokens[i++] = vocabulary[(slice.computed() + slice.count()) % vocabulary.length];
      }
    }
    @Nullable TokenLogprobs[] none = new TokenLogprobs[sampling];
    begun.add(new StepOutcome(plan.step(), keys, tokens, none, List.of(), List.of()));
  }

  private static int turn(long number) {
    return (int) (number % PLANS_MAX);
  }

  @Override
  public int plansMax() {
    return PLANS_MAX;
  }

  @Override
  public StepOutcome finish() {
    long due = dueNanos[turn(begins - begun.size())];
    StepOutcome outcome = begun.poll();
    if (outcome == null) {
      throw new IllegalStateException("no plan is under way");
    }
    await(due);
    return outcome;
  }

  @Override
  public void close() {}

  private static void await(long dueNanos) {
    while (true) {
      long left = dueNanos - System.nanoTime();
      if (left <= 0) {
        return;
      }
      if (left > AWAKE_NANOS) {
        LockSupport.parkNanos(left - AWAKE_NANOS);
      } else {
        Thread.onSpinWait();
      }
    }
  }
}
