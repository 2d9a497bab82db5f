package io.verdier.verticles.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.engine.text.TextParams;
import io.verdier.verticles.observe.ServingMetrics;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class SequenceTimesTest {
  private static final long SECOND = 1_000_000_000;
  private static final EngineRequest REQUEST =
      new EngineRequest(
          7,
          new int[] {1},
          1,
          SamplingParams.greedy(9),
          new TextParams(List.of(), false, true, true),
          0,
          "",
          "");

  private final ServingMetrics metrics = new ServingMetrics("demo", 64);
  private final SequenceTimes times = new SequenceTimes(metrics.engine(0), null);

  /** At second 1 it arrives, at 3 it starts. */
  private void start() {
    times.onArrivals(List.of(REQUEST), SECOND);
    step(3, true, null);
  }

  private void step(long second, boolean starts, @Nullable Emission emission) {
    List<StepPlan.Start> started =
        starts
            ? List.of(new StepPlan.Start(7, new int[] {1}, 1, REQUEST.sampling(), ""))
            : List.of();
    StepPlan plan = new StepPlan(1, new long[0], started, List.of());
    times.onStep(List.of(), output(plan, emission), second * SECOND);
  }

  private static StepOutput output(StepPlan plan, @Nullable Emission emission) {
    return new StepOutput(
        plan,
        emission == null ? List.of() : List.of(emission),
        new StepOutput.Stats(0, 0, 0, 0, 1, 0, 0, 0, 0));
  }

  private static Emission emission(
      @Nullable EngineRequest opened, @Nullable FinishReason reason, int... tokens) {
    Finish finish = reason == null ? null : new Finish(reason, -1, tokens.length, null);
    return new Emission(7, opened, 0, tokens, List.of(), List.of(), finish);
  }

  private void cancel(FinishReason reason, long second) {
    StepPlan plan = new StepPlan(1, new long[] {7}, List.of(), List.of());
    times.onStep(List.of(new Cancellation(7, reason, true)), output(plan, null), second * SECOND);
  }

  private void assertTimes(double queue, double prefill, double decode) {
    assertThat(times.size()).isZero();
    assertThat(sum("queue")).isEqualTo(queue);
    assertThat(sum("prefill")).isEqualTo(prefill);
    assertThat(sum("decode")).isEqualTo(decode);
    assertThat(sum("inference")).isEqualTo(prefill + decode);
  }

  private double sum(String part) {
    return metrics
        .text()
        .lines()
        .filter(line -> line.startsWith("vllm:request_" + part + "_time_seconds_sum"))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  @Test
  void sequence_preemptedOnce_timesFromItsFirstStartAndFirstToken() {
    start();
    step(4, false, emission(REQUEST, null, 5));
    step(8, true, null);
    step(9, false, emission(null, null, 5));
    step(15, false, emission(null, FinishReason.LENGTH, 5));
    assertTimes(2, 1, 11);
  }

  @Test
  void sequence_promptScoresFirst_firstTokenCounts() {
    start();
    step(4, false, emission(REQUEST, null));
    step(6, false, emission(null, null, 5));
    step(7, false, emission(null, FinishReason.STOP, 5));
    assertTimes(2, 3, 1);
  }

  @Test
  void sequence_onlyScored_isAllPrefill() {
    start();
    step(5, false, emission(REQUEST, FinishReason.LENGTH));
    assertTimes(2, 2, 0);
  }

  @Test
  void stopString_silentCancellation_isAnEnd() {
    start();
    step(4, false, emission(REQUEST, null, 5));
    cancel(FinishReason.STOP, 6);
    assertTimes(2, 1, 2);
  }

  @Test
  void clientGone_everyStage_leavesNothingBehind() {
    cancel(FinishReason.ABORT, 1);
    times.onArrivals(List.of(REQUEST), SECOND);
    cancel(FinishReason.ABORT, 2);
    start();
    cancel(FinishReason.ABORT, 4);
    start();
    step(4, false, emission(REQUEST, null, 5));
    cancel(FinishReason.ABORT, 5);
    assertTimes(0, 0, 0);
  }

  @Test
  void refused_atTheDoor_leavesNothingBehind() {
    times.onArrivals(List.of(REQUEST), SECOND);
    step(3, false, emission(REQUEST, FinishReason.ERROR));
    assertTimes(0, 0, 0);
  }

  @Test
  void promptTokens_ofAnAnswerThatWasSearchedFor_areCounted() {
    times.onArrivals(List.of(REQUEST), SECOND);
    step(3, false, emission(REQUEST, FinishReason.STOP, 5, 6)); // its beams have other keys
    assertThat(metrics.text())
        .contains("vllm:prompt_tokens_total{model_name=\"demo\",engine=\"0\"} 1.0");
    assertTimes(0, 0, 0);
  }

  @Test
  void adapters_withWork_areToldByName() {
    metrics.serveAdapters(3);
    metrics.nameAdapter("0a1b", "pirate");
    metrics.nameAdapter("0a1b", "corsair");
    assertThat(adapters())
        .isEqualTo("max_lora=\"3\",waiting_lora_adapters=\"\",running_lora_adapters=\"\"");
    EngineRequest adapted =
        new EngineRequest(7, new int[] {1}, 1, REQUEST.sampling(), REQUEST.text(), 0, "", "0a1b");
    times.onArrivals(List.of(adapted), SECOND);
    assertThat(adapters()).contains("waiting_lora_adapters=\"pirate\",running_lora_adapters=\"\"");
    step(3, true, null);
    assertThat(adapters()).contains("waiting_lora_adapters=\"\",running_lora_adapters=\"pirate\"");
    step(4, false, emission(adapted, null, 5));
    cancel(FinishReason.STOP, 6);
    assertThat(adapters()).contains("waiting_lora_adapters=\"\",running_lora_adapters=\"\"");
    assertThat(times.size()).isZero();
  }

  private String adapters() {
    String line =
        metrics
            .text()
            .lines()
            .filter(it -> it.startsWith("vllm:lora_requests_info{"))
            .findFirst()
            .orElseThrow();
    return line.substring(line.indexOf('{') + 1, line.indexOf('}'));
  }
}
