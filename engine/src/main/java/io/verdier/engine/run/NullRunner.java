package io.verdier.engine.run;

import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Runs plans without a model: every step takes the same time, and the token at a position is the
 * same for every sequence. Owned by the executor thread. With it, what a benchmark sees is the
 * server alone.
 */
public final class NullRunner implements StepRunner {
  /** Sleeping overshoots by some ten microseconds, so the end of a step is waited for awake. */
  private static final long AWAKE_NANOS = 100_000;

  private final int[] vocabulary;
  private final long stepNanos;
  private long dueNanos;

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
  public StepOutcome run(StepPlan plan) {
    dueNanos = System.nanoTime() + stepNanos;
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
    awaitDue();
    @Nullable TokenLogprobs[] none = new TokenLogprobs[sampling];
    return new StepOutcome(plan.step(), keys, tokens, none, List.of(), List.of());
  }

  @Override
  public void close() {}

  private void awaitDue() {
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
