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
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.text.TextParams;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** One rule a test, on a pool of 8 blocks of 4 tokens, 16 tokens a step. */
class SchedulerTest {
  private static final int END = 99;
  private static final int STOP = 77;
  private static final int PLAIN = 5;

  private final KvCacheManager kv = new KvCacheManager(8, 4);
  private Scheduler scheduler = scheduler(Policy.FCFS);

  @Test
  void step_promptWithinBudget_startsAndSamples() {
    StepPlan plan = step(null, request(1, 5, 3)).plan();

    assertThat(plan.step()).isEqualTo(1);
    assertThat(plan.started()).hasSize(1);
    assertThat(plan.started().getFirst().tokens()).hasSize(5);
    Slice slice = plan.slices().getFirst();
    assertThat(slice.computed()).isZero();
    assertThat(slice.count()).isEqualTo(5);
    assertThat(slice.newBlocks()).containsExactly(0, 1);
    assertThat(slice.samples()).isTrue();
  }

  @Test
  void step_promptBeyondBudget_isCutIntoChunks() {
    StepPlan first = step(null, request(1, 20, 3)).plan();
    StepOutput second = step(outcome(first, PLAIN));

    assertThat(first.slices().getFirst().count()).isEqualTo(16);
    assertThat(first.slices().getFirst().samples()).isFalse();
    assertThat(second.emissions()).isEmpty();
    Slice rest = second.plan().slices().getFirst();
    assertThat(rest.computed()).isEqualTo(16);
    assertThat(rest.count()).isEqualTo(4);
    assertThat(rest.newBlocks()).hasSize(1);
    assertThat(rest.samples()).isTrue();
  }

  @Test
  void step_decodeAndPrefill_shareBudget() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    StepPlan second = step(outcome(first, PLAIN), request(2, 20, 3)).plan();

    assertThat(second.slices()).extracting(Slice::key).containsExactly(1L, 2L);
    assertThat(second.slices()).extracting(Slice::count).containsExactly(1, 15);
  }

  @Test
  void step_firstEmission_carriesRequest() {
    EngineRequest request = request(1, 3, 9);
    StepPlan first = step(null, request).plan();
    StepOutput second = step(outcome(first, PLAIN));
    StepOutput third = step(outcome(second.plan(), PLAIN));

    assertThat(only(second).opened()).isSameAs(request);
    assertThat(only(second).tokens()).containsExactly(PLAIN);
    assertThat(only(second).finish()).isNull();
    assertThat(only(third).opened()).isNull();
  }

  @Test
  void step_maxTokensReached_endsByLength() {
    assertThat(endOf(request(1, 3, 1), PLAIN)).isEqualTo(finish(FinishReason.LENGTH, -1));
  }

  @Test
  void step_endToken_endsWithoutStopToken() {
    assertThat(endOf(request(1, 3, 9), END)).isEqualTo(finish(FinishReason.STOP, -1));
  }

  @Test
  void step_stopTokenId_endsAndIsNamed() {
    assertThat(endOf(request(1, 3, 9), STOP)).isEqualTo(finish(FinishReason.STOP, STOP));
  }

  @Test
  void step_endTokenAsLastAllowed_endsByStop() {
    assertThat(endOf(request(1, 3, 1), END)).isEqualTo(finish(FinishReason.STOP, -1));
  }

  @Test
  void step_ignoreEos_goesOnPastEndToken() {
    EngineRequest request =
        request(1, tokens(3), 3, History.sampling(1, 9, true, new int[] {STOP}, -1));
    StepPlan plan = step(null, request).plan();

    assertThat(only(step(outcome(plan, END))).finish()).isNull();
  }

  @Test
  void step_sequenceFillsPool_endsByLength() {
    StepPlan plan = step(null, request(1, 31, 9)).plan();
    StepOutput second = step(outcome(plan, PLAIN));

    assertThat(only(step(outcome(second.plan(), PLAIN))).finish())
        .isEqualTo(finish(FinishReason.LENGTH, -1));
  }

  @Test
  void step_promptBeyondModel_isRefusedWithNumbers() {
    Fault fault = refusalOf(request(1, 40, 3));

    assertThat(fault.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT);
    assertThat(fault.text())
        .isEqualTo(
            "The prompt has 40 tokens and at least 1 must be generated; this model accepts 40 in all. Shorten the prompt or start the server with a larger --max-model-len.");
  }

  @Test
  void step_promptBeyondPool_isRefusedWithNumbers() {
    Fault fault = refusalOf(request(1, 32, 3));

    assertThat(fault.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT);
    assertThat(fault.text())
        .isEqualTo(
            "The prompt has 32 tokens and at least 1 must be generated, which takes 9 cache blocks of 4 tokens; the KV cache has 8. Shorten the prompt or start the server with a larger --kv-cache-memory-bytes or --num-gpu-blocks-override.");
  }

  @Test
  void step_emptyPrompt_isRefused() {
    assertThat(refusalOf(request(1, 0, 3)).text())
        .isEqualTo(
            "The prompt is empty; at least 1 token is needed. Send a prompt with some text.");
  }

  @Test
  void step_duplicateKey_refusesSecondOnly() {
    StepPlan plan = step(null, request(1, 3, 9)).plan();
    EngineRequest twin = request(1, 4, 9);
    StepOutput refused = step(null, twin);

    assertThat(only(refused).opened()).isSameAs(twin);
    assertThat(fault(only(refused)).code()).isEqualTo(ErrorCode.INVALID_ARGUMENT);
    assertThat(only(step(outcome(plan, PLAIN))).tokens()).containsExactly(PLAIN);
  }

  @Test
  void step_planUnderWay_returnsEmptyPlan() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    StepOutput late = step(null, request(2, 3, 9));

    assertThat(late.plan().isEmpty()).isTrue();
    assertThat(late.plan().forgotten()).isEmpty();
    assertThat(late.stats().waiting()).isEqualTo(1);
    assertThat(step(outcome(first, PLAIN)).plan().step()).isEqualTo(2);
  }

  @Test
  void step_cancelledUnderWay_keepsBlocksUntilOutcome() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    StepOutput cancelled = cancel(1, false);

    assertThat(finishOf(only(cancelled)).reason()).isEqualTo(FinishReason.ABORT);
    assertThat(cancelled.stats().blocksUsed()).isEqualTo(1);
    StepOutput after = step(outcome(first, PLAIN));
    assertThat(after.emissions()).isEmpty();
    assertThat(after.plan().forgotten()).containsExactly(1);
    assertThat(after.stats().blocksUsed()).isZero();
  }

  @Test
  void step_silentCancellation_emitsNothing() {
    step(null, request(1, 3, 9));

    assertThat(cancel(1, true).emissions()).isEmpty();
    assertThat(cancel(1, false).emissions()).isEmpty();
  }

  @Test
  void step_cancelledInSameCallAsArrival_neverRuns() {
    StepOutput output =
        scheduler.step(
            new StepInput(
                List.of(request(1, 3, 9)),
                List.of(new Cancellation(1, FinishReason.ABORT, false)),
                null));

    assertThat(finishOf(only(output)).reason()).isEqualTo(FinishReason.ABORT);
    assertThat(output.plan().isEmpty()).isTrue();
    assertThat(output.plan().forgotten()).isEmpty();
  }

  @Test
  void step_keyUsedAgainAfterCancellation_forgetsThenStarts() {
    StepPlan first = step(null, request(1, 3, 9)).plan();
    cancel(1, true);
    step(null, request(1, 4, 9));
    StepPlan next = step(outcome(first, PLAIN)).plan();

    assertThat(next.forgotten()).containsExactly(1);
    assertThat(next.started().getFirst().tokens()).hasSize(4);
    assertThat(only(step(outcome(next, PLAIN))).tokens()).containsExactly(PLAIN);
  }

  @Test
  void step_cacheFull_preemptsYoungestAndRestartsIt() {
    StepPlan plan = step(null, request(1, 4, 40), request(2, 4, 40), request(3, 4, 40)).plan();
    while (plan.forgotten().length == 0) {
      plan = step(outcome(plan, PLAIN)).plan();
    }
    assertThat(plan.forgotten()).containsExactly(3);
    assertThat(plan.started()).isEmpty();
    assertThat(plan.slices()).extracting(Slice::key).containsExactly(1L, 2L);

    StepOutput ended = cancel(2, true, outcome(plan, PLAIN));
    assertThat(ended.plan().started().getFirst().key()).isEqualTo(3);
    assertThat(ended.plan().started().getFirst().tokens()).hasSizeGreaterThan(4);
    assertThat(ended.plan().started().getFirst().promptTokens()).isEqualTo(4);
    assertThat(ended.stats().preemptions()).isEqualTo(1);
  }

  @Test
  void step_priorityPolicy_servesUrgentFirstAndPreemptsLeastUrgent() {
    scheduler = scheduler(Policy.PRIORITY);
    StepPlan plan = step(null, urgent(1, 2), urgent(2, 0), urgent(3, 1)).plan();
    assertThat(plan.slices()).extracting(Slice::key).containsExactly(2L, 3L, 1L);

    while (plan.forgotten().length == 0) {
      plan = step(outcome(plan, PLAIN)).plan();
    }
    assertThat(plan.forgotten()).containsExactly(1);
  }

  @Test
  void step_prefixComputedBefore_isNotComputedAgain() {
    StepPlan plan = step(null, request(1, 9, 1)).plan();
    StepOutput second = step(outcome(plan, PLAIN), request(2, 9, 1));

    Slice slice = second.plan().slices().getFirst();
    assertThat(slice.computed()).isEqualTo(8);
    assertThat(slice.newBlocks()).hasSize(3);
    assertThat(second.stats().prefixQueriedTokens()).isEqualTo(18);
    assertThat(second.stats().prefixHitTokens()).isEqualTo(8);
    Emission end = only(step(outcome(second.plan(), PLAIN)));
    assertThat(end.cachedTokens()).isEqualTo(8);
  }

  @Test
  void step_failure_namesOnlyItsSequenceAndSharesNothing() {
    StepPlan plan = step(null, request(1, 9, 9), request(2, 5, 9)).plan();
    StepOutput output =
        step(
            new StepOutcome(
                plan.step(),
                new long[] {2},
                new int[] {PLAIN},
                new TokenLogprobs[1],
                List.of(),
                List.of(new Failure(1, ErrorCode.UNSUPPORTED, "It broke."))),
            request(3, 9, 9));

    Fault fault = fault(output.emissions().getFirst());
    assertThat(fault).isEqualTo(new Fault(ErrorCode.UNSUPPORTED, "It broke."));
    assertThat(output.emissions().get(1).tokens()).containsExactly(PLAIN);
    assertThat(output.plan().forgotten()).containsExactly(1);
    // What sequence 2 computed of the common prefix may be shared, what sequence 1 did may not.
    assertThat(output.plan().slices().getLast().computed()).isEqualTo(4);
  }

  @Test
  void step_sampleMissing_failsThatSequence() {
    StepPlan plan = step(null, request(1, 3, 9)).plan();
    StepOutput output = step(empty(plan.step()));

    assertThat(fault(only(output)).code()).isEqualTo(ErrorCode.INTERNAL);
  }

  @Test
  void step_outcomeThatFitsNoPlan_throwsAndChangesNothing() {
    StepPlan plan = step(null, request(1, 3, 9)).plan();
    StepOutcome alien =
        new StepOutcome(
            1, new long[] {8}, new int[] {1}, new TokenLogprobs[1], List.of(), List.of());

    assertThatThrownBy(() -> step(alien))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("step 1");
    assertThatThrownBy(() -> step(empty(7))).isInstanceOf(IllegalStateException.class);
    assertThat(only(step(outcome(plan, PLAIN))).tokens()).containsExactly(PLAIN);
  }

  @Test
  void step_forgetOnlyPlan_needsNoOutcomeAndIgnoresOne() {
    StepPlan plan = step(null, request(1, 3, 1)).plan();
    StepPlan forget = step(outcome(plan, PLAIN)).plan();
    assertThat(forget.isEmpty()).isTrue();
    assertThat(forget.forgotten()).containsExactly(1);

    StepPlan next = step(null, request(2, 3, 1)).plan();
    assertThat(next.slices()).hasSize(1);
    assertThat(step(empty(forget.step())).emissions()).isEmpty();
    assertThat(step(outcome(next, PLAIN)).emissions()).hasSize(1);
  }

  @Test
  void step_maxTokensZero_scoresPromptOnly() {
    EngineRequest request = request(1, tokens(3), 3, History.sampling(1, 0, false, new int[0], 0));
    StepPlan plan = step(null, request).plan();
    assertThat(plan.slices().getFirst().samples()).isFalse();

    List<TokenLogprobs> scores =
        IntStream.range(1, 3).mapToObj(i -> FakeRunner.scoreAt(request.tokens(), i)).toList();
    Emission emission =
        only(
            step(
                new StepOutcome(
                    plan.step(),
                    new long[0],
                    new int[0],
                    new TokenLogprobs[0],
                    List.of(new StepOutcome.PromptLogprobs(1, 1, scores)),
                    List.of())));
    assertThat(emission.tokens()).isEmpty();
    assertThat(emission.promptLogprobs()).isEqualTo(scores);
    assertThat(emission.finish()).isEqualTo(new Finish(FinishReason.LENGTH, -1, 0, null));
  }

  @Test
  void step_movedSequence_countsWhatItHadGenerated() {
    SamplingParams sampling = History.sampling(1, 3, false, new int[0], -1);
    StepPlan plan = step(null, request(1, new int[] {1, 2, 3, PLAIN, PLAIN}, 3, sampling)).plan();
    Emission emission = only(step(outcome(plan, PLAIN)));

    assertThat(emission.finish()).isEqualTo(new Finish(FinishReason.LENGTH, -1, 3, null));
  }

  @Test
  void step_movedSequenceThatHadEnded_endsAtOnce() {
    SamplingParams sampling = History.sampling(1, 9, false, new int[0], -1);
    StepOutput output = step(null, request(1, new int[] {1, 2, 3, END}, 3, sampling));

    assertThat(output.plan().isEmpty()).isTrue();
    assertThat(only(output).tokens()).isEmpty();
    assertThat(only(output).finish()).isEqualTo(finish(FinishReason.STOP, -1));
  }

  /** A slice, an emission and one token per sequence, and nothing that grows with their lengths. */
  @Test
  void step_manyDecoding_allocatesLittle() {
    assertThat(SchedulerBench.decode(200).bytes()).isLessThan(64 * 1024);
  }

  // ---- Help ----------------------------------------------------------------------------------

  private Scheduler scheduler(Policy policy) {
    return new Scheduler(new SchedulerSettings(16, 4, 0, policy, 40, new int[] {END}, true), kv);
  }

  private StepOutput step(@Nullable StepOutcome outcome, EngineRequest... arrivals) {
    return scheduler.step(new StepInput(List.of(arrivals), List.of(), outcome));
  }

  private StepOutput cancel(long key, boolean silent) {
    return cancel(key, silent, null);
  }

  private StepOutput cancel(long key, boolean silent, @Nullable StepOutcome outcome) {
    return scheduler.step(
        new StepInput(
            List.of(), List.of(new Cancellation(key, FinishReason.ABORT, silent)), outcome));
  }

  private Finish endOf(EngineRequest request, int token) {
    StepOutput output = step(outcome(step(null, request).plan(), token));
    assertThat(only(output).tokens()).containsExactly(token);
    assertThat(output.stats().blocksUsed()).isZero();
    return finishOf(only(output));
  }

  private Fault refusalOf(EngineRequest request) {
    StepOutput output = step(null, request);
    assertThat(output.plan().isEmpty()).isTrue();
    assertThat(only(output).opened()).isSameAs(request);
    return fault(only(output));
  }

  /** Every slice that samples gives the same token. */
  private static StepOutcome outcome(StepPlan plan, int token) {
    long[] keys = plan.slices().stream().filter(Slice::samples).mapToLong(Slice::key).toArray();
    int[] tokens = new int[keys.length];
    Arrays.fill(tokens, token);
    return new StepOutcome(
        plan.step(), keys, tokens, new TokenLogprobs[keys.length], List.of(), List.of());
  }

  private static StepOutcome empty(long step) {
    return new StepOutcome(
        step, new long[0], new int[0], new TokenLogprobs[0], List.of(), List.of());
  }

  private static Finish finish(FinishReason reason, int stopToken) {
    return new Finish(reason, stopToken, 1, null);
  }

  private static Emission only(StepOutput output) {
    assertThat(output.emissions()).hasSize(1);
    return output.emissions().getFirst();
  }

  private static Finish finishOf(Emission emission) {
    return Objects.requireNonNull(emission.finish());
  }

  private static Fault fault(Emission emission) {
    return Objects.requireNonNull(finishOf(emission).fault());
  }

  private static EngineRequest request(long key, int promptTokens, int maxTokens) {
    return request(
        key, tokens(promptTokens), 0, History.sampling(1, maxTokens, false, new int[] {STOP}, -1));
  }

  private static EngineRequest urgent(long key, int priority) {
    EngineRequest r = request(key, 4, 40);
    return new EngineRequest(key, r.tokens(), 4, r.sampling(), r.text(), priority, "", "");
  }

  private static int[] tokens(int count) {
    return IntStream.rangeClosed(1, count).toArray();
  }

  private static EngineRequest request(
      long key, int[] tokens, int promptTokens, SamplingParams sampling) {
    return new EngineRequest(
        key,
        tokens,
        promptTokens == 0 ? tokens.length : promptTokens,
        sampling,
        new TextParams(List.of(), false, true, true),
        0,
        "",
        "");
  }
}
