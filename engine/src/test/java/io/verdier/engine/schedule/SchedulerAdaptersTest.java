package io.verdier.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Who may run where fewer adapters have a slot than are asked for. */
class SchedulerAdaptersTest {
  private final Scheduler scheduler =
      new Scheduler(
          new SchedulerSettings(64, 8, 0, Policy.FCFS, 64, new int[] {99}, true, 1, 2),
          new KvCacheManager(64, 4));

  @Test
  void step_moreAdaptersThanSlots_runsThoseThatCameFirstAndTheBaseModel() {
    StepOutput output = step(null, of(1, "a"), of(2, "b"), of(3, "c"), of(4, "a"), of(5, ""));

    assertThat(keys(output.plan())).containsExactly(1L, 2L, 5L); // 4 would keep 3's slot
    assertThat(output.stats().waiting()).isEqualTo(2);
    assertThat(output.stats().deferred()).isEqualTo(2);
  }

  @Test
  void step_slotGetsFree_isTheFirstWaitingOnes() {
    StepPlan plan = step(null, of(1, "a"), of(2, "b"), of(3, "c"), of(4, "a"), of(5, "b")).plan();
    assertThat(keys(plan)).containsExactly(1L, 2L);
    plan = cancel(1, outcome(plan)).plan();
    assertThat(keys(plan)).containsExactly(2L, 3L);
    StepOutput last = cancel(2, outcome(plan));
    assertThat(last.stats().deferred()).isEqualTo(1);
    plan = last.plan();

    assertThat(keys(plan)).containsExactly(3L, 4L); // in order: 5 waits for the slot after 4
    assertThat(keys(cancel(3, outcome(plan)).plan())).containsExactly(4L, 5L);
  }

  @Test
  void step_adapterRuns_takesMoreOfItsSequences() {
    StepPlan plan = step(null, of(1, "a")).plan();
    assertThat(keys(step(outcome(plan), of(2, "a"), of(3, "a"), of(4, "b")).plan()))
        .containsExactly(1L, 2L, 3L, 4L);
  }

  private StepOutput step(@Nullable StepOutcome outcome, EngineRequest... arrivals) {
    return scheduler.step(new StepInput(List.of(arrivals), List.of(), outcome));
  }

  private StepOutput cancel(long key, StepOutcome outcome) {
    return scheduler.step(
        new StepInput(
            List.of(), List.of(new Cancellation(key, FinishReason.ABORT, false)), outcome));
  }

  private static List<Long> keys(StepPlan plan) {
    return plan.slices().stream().map(Slice::key).toList();
  }

  private static StepOutcome outcome(StepPlan plan) {
    long[] keys = plan.slices().stream().filter(Slice::samples).mapToLong(Slice::key).toArray();
    int[] tokens = new int[keys.length];
    return new StepOutcome(
        plan.step(), keys, tokens, new TokenLogprobs[keys.length], List.of(), List.of());
  }

  private static EngineRequest of(long key, String adapter) {
    return new EngineRequest(
        key,
        new int[] {1, 2, 3},
        3,
        History.sampling(1, 40, false, new int[0], -1),
        new TextParams(List.of(), false, true, true),
        0,
        "",
        adapter);
  }
}
