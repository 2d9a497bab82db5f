package io.verdier.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.Gate.Flow;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What an operator lets the scheduler run; every step gives token 5. */
class GateTest {
  private final KvCacheManager kv = new KvCacheManager(20, 4);
  private final Scheduler scheduler =
      new Scheduler(new SchedulerSettings(16, 4, 0, Policy.FCFS, 40, new int[] {99}, true), kv);
  private final List<Long> ended = new ArrayList<>();
  private @Nullable StepOutcome told;

  private StepPlan step(EngineRequest... arrivals) {
    StepOutput output = scheduler.step(new StepInput(List.of(arrivals), List.of(), told));
    told = null;
    for (Emission emission : output.emissions()) {
      if (emission.finish() != null) {
        ended.add(emission.key());
      }
    }
    StepPlan plan = output.plan();
    if (!plan.isEmpty()) {
      long[] keys = plan.slices().stream().filter(Slice::samples).mapToLong(Slice::key).toArray();
      int[] tokens = new int[keys.length];
      Arrays.fill(tokens, 5);
      told =
          new StepOutcome(
              plan.step(), keys, tokens, new TokenLogprobs[keys.length], List.of(), List.of());
    }
    return plan;
  }

  private static EngineRequest request(long key, int maxTokens) {
    return new EngineRequest(
        key,
        new int[] {1, 2, 3, 4, (int) key},
        5,
        SamplingParams.greedy(maxTokens),
        new TextParams(List.of(), false, true, true),
        0,
        "",
        "");
  }

  private static List<Long> keys(StepPlan plan) {
    return plan.slices().stream().map(Slice::key).toList();
  }

  @Test
  void shut_nothingRunsAndAllGoesOnLater() {
    step(request(1, 4));
    scheduler.let(Flow.SHUT);
    assertThat(scheduler.isStill()).as("its plan is under way").isFalse();
    assertThat(step(request(2, 1)).isEmpty()).isTrue();
    assertThat(scheduler.isStill()).isTrue();
    assertThat(step().isEmpty()).isTrue();
    scheduler.let(Flow.OPEN);
    assertThat(keys(step())).containsExactly(1L, 2L);
    while (told != null) {
      step();
    }
    assertThat(ended).containsExactly(2L, 1L);
  }

  @Test
  void draining_whatHasArrivedEnds_whatComesLaterWaits() {
    EngineRequest[] more = new EngineRequest[6]; // more than run at once
    Arrays.setAll(more, i -> request(1 + i, 3));
    step(more);
    scheduler.let(Flow.DRAINING);
    step(request(9, 1));
    for (int i = 0; i < 20; i++) {
      step();
    }
    assertThat(ended).containsExactlyInAnyOrder(1L, 2L, 3L, 4L, 5L, 6L);
    assertThat(scheduler.isStill()).isTrue();
    assertThat(scheduler.liveKeys()).containsExactly(9);
    scheduler.let(Flow.OPEN);
    step();
    step();
    assertThat(ended).contains(9L);
  }

  @Test
  void preemptAll_blocksComeBackAndPrefixesAreForgotten() {
    step(request(1, 9));
    assertThatThrownBy(scheduler::preemptAll).isInstanceOf(IllegalStateException.class);
    step();
    scheduler.let(Flow.SHUT);
    step();
    assertThat(scheduler.forgetPrefixes(Reach.DEVICE)).as("blocks are held").isFalse();
    scheduler.preemptAll();
    assertThat(kv.usedCount()).isZero();
    assertThat(kv.cachedCount()).isPositive();
    assertThat(scheduler.forgetPrefixes(Reach.DEVICE)).isTrue();
    assertThat(kv.cachedCount()).isZero();
    StepPlan plan = step();
    assertThat(plan.isEmpty()).isTrue();
    assertThat(plan.forgotten()).containsExactly(1);
    scheduler.let(Flow.OPEN);
    Slice again = Objects.requireNonNull(step().slices().getFirst());
    assertThat(again.computed()).isZero();
    assertThat(again.count()).isEqualTo(7);
  }
}
