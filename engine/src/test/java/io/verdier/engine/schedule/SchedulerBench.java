package io.verdier.engine.schedule;

import com.sun.management.ThreadMXBean;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What a step costs by itself. Run {@code main}; tests look at the bytes only.
 *
 * <p>Reports nanoseconds and allocated bytes of {@link Scheduler#step} with 256 sequences decoding,
 * and nanoseconds to name a block.
 */
final class SchedulerBench {
  private static final int SEQUENCES = 256;
  private static final int PROMPT = 500;
  private static final int DECODED = 1000;

  private SchedulerBench() {}

  public static void main(String[] args) {
    for (int round = 1; round <= 12; round++) {
      steps(round);
    }
    for (int round = 1; round <= 5; round++) {
      names(round);
    }
  }

  /** What each step took, sorted, and what it allocated on average. */
  record Cost(long[] nanos, long bytes) {}

  private static void steps(int round) {
    Cost cost = decode(DECODED);
    System.out.printf(
        "round %d: step of %d decodes: median %.1f us, p99 %.1f us, max %.1f us, %d bytes%n",
        round,
        SEQUENCES,
        cost.nanos()[DECODED / 2] / 1e3,
        cost.nanos()[DECODED * 99 / 100] / 1e3,
        cost.nanos()[DECODED - 1] / 1e3,
        cost.bytes());
  }

  /** Decodes so many steps with all sequences. */
  static Cost decode(int steps) {
    KvCacheManager kv = new KvCacheManager(40_000, 16);
    Scheduler scheduler =
        new Scheduler(
            new SchedulerSettings(
                SEQUENCES * PROMPT, SEQUENCES, 0, Policy.FCFS, 8192, new int[] {2}, true),
            kv);
    List<EngineRequest> arrivals = new ArrayList<>();
    for (int key = 0; key < SEQUENCES; key++) {
      int[] tokens = new int[PROMPT];
      Arrays.fill(tokens, key + 10);
      arrivals.add(
          new EngineRequest(
              key,
              tokens,
              PROMPT,
              History.sampling(1, DECODED + 10, false, new int[0], -1),
              new TextParams(List.of(), false, true, true),
              0,
              "",
              ""));
    }
    StepPlan plan = scheduler.step(new StepInput(arrivals, List.of(), null)).plan();
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] nanos = new long[steps];
    long bytes = 0;
    for (int i = 0; i < steps; i++) {
      StepInput input = new StepInput(List.of(), List.of(), outcome(plan));
      long before = threads.getCurrentThreadAllocatedBytes();
      long start = System.nanoTime();
      plan = scheduler.step(input).plan();
      nanos[i] = System.nanoTime() - start;
      bytes += threads.getCurrentThreadAllocatedBytes() - before;
    }
    Arrays.sort(nanos);
    return new Cost(nanos, bytes / steps);
  }

  private static void names(int round) {
    int blocks = 20_000;
    KvCacheManager kv = new KvCacheManager(blocks, 16);
    int[] tokens = new int[blocks * 16];
    Arrays.setAll(tokens, i -> i);
    BlockTable table = kv.open("", "");
    kv.reserve(table, tokens.length);
    long start = System.nanoTime();
    kv.commit(table, tokens, tokens.length);
    System.out.printf(
        "round %d: naming and indexing a block of 16: %.0f ns%n",
        round, (System.nanoTime() - start) / (double) blocks);
  }

  private static StepOutcome outcome(StepPlan plan) {
    long[] keys = plan.slices().stream().mapToLong(Slice::key).toArray();
    int[] tokens = new int[keys.length];
    Arrays.fill(tokens, 7);
    return new StepOutcome(
        plan.step(), keys, tokens, new TokenLogprobs[keys.length], List.of(), List.of());
  }
}
