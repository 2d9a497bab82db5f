package io.verdier.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutcome.Failure;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Two plans under way, one rule a test: 8 blocks of 4 tokens, 16 tokens a step. */
class SchedulerAheadTest {
  private static final int STOP = 77;
  private static final int PLAIN = 5;

  private final KvCacheManager kv = new KvCacheManager(8, 4);
  private final Scheduler scheduler =
      new Scheduler(new SchedulerSettings(16, 4, 0, Policy.FCFS, 40, new int[] {99}, true, 2), kv);

  @Test
  void step_firstPlanUnderWay_plansTheTokenThatItSamples() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    StepPlan second = step(null).plan();

    assertThat(first.slices().getFirst().awaitsToken()).isFalse();
    Slice slice = second.slices().getFirst();
    assertThat(slice.computed()).isEqualTo(3);
    assertThat(slice.count()).isEqualTo(1);
    assertThat(slice.samples()).isTrue();
    assertThat(slice.awaitsToken()).isTrue();
    assertThat(scheduler.mayPlan()).isFalse();
    assertThat(step(null).plan().isEmpty()).isTrue();

    StepOutput third = step(outcome(first, PLAIN));
    assertThat(third.emissions().getFirst().tokens()).containsExactly(PLAIN);
    assertThat(third.plan().slices().getFirst().computed()).isEqualTo(4);
    assertThat(third.plan().slices().getFirst().awaitsToken()).isTrue();
  }

  @Test
  void step_promptInChunks_plansTheNextChunkOfKnownTokens() {
    step(null, request(1, 20, 3));
    Slice rest = step(null).plan().slices().getFirst();

    assertThat(rest.computed()).isEqualTo(16);
    assertThat(rest.count()).isEqualTo(4);
    assertThat(rest.samples()).isTrue();
    assertThat(rest.awaitsToken()).isFalse();
  }

  @Test
  void step_tokenUnderWayIsTheLastAllowed_plansNothingBehindIt() {
    StepPlan first = step(null, request(1, 3, 1), request(2, 3, 9)).plan();
    StepPlan second = step(null).plan();

    assertThat(first.slices()).hasSize(2);
    assertThat(second.slices()).extracting(Slice::key).containsExactly(2L);
  }

  @Test
  void step_scoresOnly_areNotPlannedTwice() {
    EngineRequest request =
        request(1, IntStream.range(1, 4).toArray(), History.sampling(1, 0, false, new int[0], 0));
    assertThat(step(null, request).plan().slices()).hasSize(1);
    assertThat(step(null).plan().isEmpty()).isTrue();
  }

  @Test
  void step_endsByAToken_dropsWhatWasPlannedBehindIt() {
    StepPlan first = step(null, request(1, 4, 9)).plan();
    StepPlan second = step(null).plan();

    StepOutput ended = step(outcome(first, STOP));
    assertThat(finish(ended).reason()).isEqualTo(FinishReason.STOP);
    assertThat(finish(ended).generatedTokens()).isEqualTo(1);
    assertThat(ended.plan().isEmpty()).isTrue();
    assertThat(ended.plan().forgotten()).as("told when nothing is under way").isEmpty();
    assertThat(ended.stats().blocksUsed()).as("the second plan writes a block").isEqualTo(2);

    StepOutput last = step(outcome(second, PLAIN));
    assertThat(last.emissions()).isEmpty();
    assertThat(last.stats().blocksUsed()).isZero();
    assertThat(last.plan().forgotten()).containsExactly(1);
  }

  /** What the second plan computed in vain is known tokens' work, and may be found. */
  @Test
  void step_endsByAToken_sharesOnlyTokensThatExist() {
    StepPlan first = step(null, request(1, 7, 9)).plan();
    StepPlan second = step(null).plan();
    step(outcome(first, STOP));
    step(outcome(second, PLAIN));

    int[] same = IntStream.of(1, 2, 3, 4, 5, 6, 7, STOP, 9).toArray();
    int[] other = IntStream.of(1, 2, 3, 4, 5, 6, 7, PLAIN, 9).toArray();
    EngineRequest known = request(2, same, History.sampling(1, 3, false, new int[0], -1));
    EngineRequest unknown = request(3, other, History.sampling(1, 3, false, new int[0], -1));
    List<Slice> slices = step(null, known, unknown).plan().slices();
    assertThat(slices).extracting(Slice::computed).containsExactly(8, 4);
  }

  @Test
  void step_cancelledInBothPlans_keepsBlocksUntilTheSecondIsDone() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    StepPlan second = step(null).plan();
    Cancellation cancellation = new Cancellation(1, FinishReason.ABORT, false);
    scheduler.step(new StepInput(List.of(), List.of(cancellation), null));

    assertThat(step(outcome(first, PLAIN)).stats().blocksUsed()).isEqualTo(1);
    StepOutput last = step(outcome(second, PLAIN));
    assertThat(last.emissions()).isEmpty();
    assertThat(last.stats().blocksUsed()).isZero();
  }

  @Test
  void step_failsInTheFirst_endsOnceAndSharesNothing() {
    StepPlan first = step(null, request(1, 4, 9)).plan();
    StepPlan second = step(null).plan();
    StepOutcome failed =
        new StepOutcome(
            first.step(),
            new long[0],
            new int[0],
            new TokenLogprobs[0],
            List.of(),
            List.of(new Failure(1, ErrorCode.INTERNAL, "It broke.")));

    assertThat(finish(step(failed)).reason()).isEqualTo(FinishReason.ERROR);
    assertThat(step(outcome(second, PLAIN)).emissions()).isEmpty();
    assertThat(kv.usedCount()).isZero();
    assertThat(kv.cachedCount()).isZero();
  }

  @Test
  void step_cacheFullWhileUnderWay_preemptsOnlyWhenNothingIs() {
    StepPlan last = step(null, request(1, 4, 40), request(2, 4, 40), request(3, 4, 40)).plan();
    StepPlan ahead = step(null).plan();
    while (!ahead.isEmpty()) {
      StepPlan next = step(outcome(last, PLAIN)).plan();
      last = ahead;
      ahead = next;
    }
    assertThat(kv.usedCount()).isGreaterThan(6);

    StepOutput after = step(outcome(last, PLAIN));
    assertThat(after.stats().preemptions()).isEqualTo(1);
    assertThat(after.plan().forgotten()).containsExactly(3);
    assertThat(after.plan().slices()).noneMatch(Slice::awaitsToken);
  }

  @Test
  void step_firstGivesSeveralTokens_secondComputesOneAndTheThirdTheOthers() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    StepPlan second = step(null).plan();
    StepOutput told = step(outcome(first, new int[][] {{5, 6, 7}}));

    assertThat(told.emissions().getFirst().tokens()).containsExactly(5, 6, 7);
    Slice rest = told.plan().slices().getFirst();
    assertThat(rest.computed()).isEqualTo(4);
    assertThat(rest.count()).isEqualTo(2);
    assertThat(rest.samples()).isTrue();
    assertThat(rest.awaitsToken()).isFalse();

    assertThatThrownBy(() -> step(outcome(second, PLAIN)))
        .as("what would be a second token at one position")
        .isInstanceOf(IllegalStateException.class);
    StepOutput nothing = step(outcome(second, new int[0][]));
    assertThat(nothing.emissions()).isEmpty();
    assertThat(nothing.plan().slices().getFirst().computed()).isEqualTo(6);
    assertThat(step(outcome(told.plan(), PLAIN)).emissions().getFirst().tokens())
        .containsExactly(PLAIN);
  }

  @Test
  void step_endAmongSeveralTokens_dropsThoseBehindIt() {
    StepPlan first = step(null, request(1, 4, 9)).plan();
    StepPlan second = step(null).plan();
    StepOutput ended = step(outcome(first, new int[][] {{5, STOP, 7}}));

    assertThat(ended.emissions().getFirst().tokens()).containsExactly(5, STOP);
    assertThat(finish(ended).generatedTokens()).isEqualTo(2);
    assertThat(step(outcome(second, new int[0][])).stats().blocksUsed()).isZero();
    assertThat(kv.cachedCount()).as("what ended well may be found").isPositive();
  }

  @Test
  void step_cancelledWhereSeveralTokensCome_freesItsBlocks() {
    StepPlan first = step(null, request(1, 4, 9)).plan();
    StepPlan second = step(null).plan();
    Cancellation cancellation = new Cancellation(1, FinishReason.ABORT, false);
    scheduler.step(new StepInput(List.of(), List.of(cancellation), null));

    step(outcome(first, new int[][] {{5, 6}}));
    assertThat(step(outcome(second, new int[0][])).emissions()).isEmpty();
    assertThat(kv.usedCount()).isZero();
    assertThat(kv.cachedCount()).isPositive();
  }

  private StepOutput step(@Nullable StepOutcome outcome, EngineRequest... arrivals) {
    return scheduler.step(new StepInput(List.of(arrivals), List.of(), outcome));
  }

  private static StepOutput.Finish finish(StepOutput output) {
    assertThat(output.emissions()).hasSize(1);
    return Objects.requireNonNull(output.emissions().getFirst().finish());
  }

  /** Every slice that samples gives the same token. */
  private static StepOutcome outcome(StepPlan plan, int token) {
    long[] keys = plan.slices().stream().filter(Slice::samples).mapToLong(Slice::key).toArray();
    int[] tokens = new int[keys.length];
    Arrays.fill(tokens, token);
    return new StepOutcome(
        plan.step(), keys, tokens, new TokenLogprobs[keys.length], List.of(), List.of());
  }

  /** The first slices that sample give these tokens; the others none. */
  private static StepOutcome outcome(StepPlan plan, int[][] tokens) {
    long[] keys =
        plan.slices().stream()
            .filter(Slice::samples)
            .mapToLong(Slice::key)
            .limit(tokens.length)
            .toArray();
    return new StepOutcome(
        plan.step(), keys, tokens, new TokenLogprobs[keys.length], List.of(), List.of(), List.of());
  }

  private static EngineRequest request(long key, int promptTokens, int maxTokens) {
    return request(
        key,
        IntStream.rangeClosed(1, promptTokens).toArray(),
        History.sampling(1, maxTokens, false, new int[] {STOP}, -1));
  }

  private static EngineRequest request(long key, int[] tokens, SamplingParams sampling) {
    TextParams text = new TextParams(List.of(), false, true, true);
    return new EngineRequest(key, tokens, tokens.length, sampling, text, 0, "", "");
  }
}
