package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ModelRunnerTest {
  private static final int[] PROMPT = {4064, 300, 301, 302, 303};
  private final LoadedModel model =
      ModelLoader.load(
          Golden.DRAFT,
          TestConfig.of(64, 8, OptionalInt.of(128), OptionalInt.of(16)),
          new CpuBackend(OptionalInt.of(3), KernelForm.VECTOR),
          (done, total) -> {});
  private final ModelRunner runner = new ModelRunner(model, 64, 8);

  @AfterEach
  void close() {
    runner.close();
  }

  @Test
  void run_oneSequenceFails_othersGetTheirTokens() {
    SamplingParams impossible = allowed(new int[] {5}, new int[][] {{5}});
    StepPlan plan =
        new StepPlan(
            1,
            new long[0],
            List.of(
                start(1, PROMPT, SamplingParams.greedy(5), ""),
                start(2, PROMPT, impossible, ""),
                start(3, new int[] {4064, 4096}, SamplingParams.greedy(5), ""),
                start(4, PROMPT, SamplingParams.greedy(5), "pirate"),
                start(5, PROMPT, SamplingParams.greedy(5), "")),
            List.of(
                new StepPlan.Slice(1, 0, 5, new int[] {0}, true),
                new StepPlan.Slice(2, 0, 5, new int[] {1}, true),
                new StepPlan.Slice(3, 0, 2, new int[] {2}, true),
                new StepPlan.Slice(4, 0, 5, new int[] {3}, true),
                new StepPlan.Slice(5, 0, 5, new int[] {4}, true)));
    StepOutcome outcome = runner.run(plan);
    assertThat(outcome.keys()).containsExactly(1, 5);
    assertThat(outcome.tokens()[0]).isEqualTo(outcome.tokens()[1]);
    assertThat(outcome.failures())
        .extracting(StepOutcome.Failure::key)
        .containsExactlyInAnyOrder(2L, 3L, 4L);
    assertThat(outcome.failures())
        .extracting(StepOutcome.Failure::text)
        .contains(
            "Token id 4096 is outside the vocabulary of 4096 tokens.",
            "The adapter of this request is not loaded.");
    assertThat(outcome.failures())
        .as("the requests ask for what cannot be")
        .extracting(StepOutcome.Failure::code)
        .containsOnly(ErrorCode.INVALID_ARGUMENT);
  }

  @Test
  void run_choiceOfOneSequenceThrowsAnything_othersGetTheirTokens() {
    for (Throwable fault :
        List.of(
            new IllegalStateException("a test"),
            new AssertionError("a test"),
            new NoClassDefFoundError("a test"),
            new OutOfMemoryError("a test"))) {
      ModelRunner faulty =
          new ModelRunner(model, 64, 8, new FaultySampling(RowSampling.of(model, 64), 13, fault));
      SamplingParams greedy = SamplingParams.greedy(5);
      StepOutcome outcome =
          faulty.run(
              new StepPlan(
                  1,
                  new long[0],
                  List.of(
                      start(1, PROMPT, greedy, ""),
                      start(2, PROMPT, greedy.withSeed(13), ""),
                      start(3, PROMPT, greedy, "")),
                  List.of(
                      new StepPlan.Slice(1, 0, 5, new int[] {0}, true),
                      new StepPlan.Slice(2, 0, 5, new int[] {1}, true),
                      new StepPlan.Slice(3, 0, 5, new int[] {2}, true))));
      assertThat(outcome.keys()).as(fault.toString()).containsExactly(1, 3);
      assertThat(outcome.failures())
          .containsExactly(
              new StepOutcome.Failure(
                  2, ErrorCode.INTERNAL, "The server could not choose a token for this request."));
    }
  }

  @Test
  void run_chunkedPromptWithScores_scoresEveryPositionOnce() {
    SamplingParams scored = scored(2);
    StepOutcome first =
        runner.run(
            new StepPlan(
                1,
                new long[0],
                List.of(start(1, PROMPT, scored, "")),
                List.of(new StepPlan.Slice(1, 0, 3, new int[] {7}, false))));
    assertThat(first.keys()).isEmpty();
    assertThat(first.promptLogprobs()).hasSize(1);
    assertThat(first.promptLogprobs().getFirst().firstPosition()).isEqualTo(1);
    assertThat(first.promptLogprobs().getFirst().scores()).hasSize(3);
    StepOutcome second =
        runner.run(
            new StepPlan(
                2, new long[0], List.of(), List.of(new StepPlan.Slice(1, 3, 2, new int[0], true))));
    assertThat(second.keys()).containsExactly(1);
    assertThat(second.promptLogprobs().getFirst().firstPosition()).isEqualTo(4);
    assertThat(second.promptLogprobs().getFirst().scores()).hasSize(1);
    assertThat(second.promptLogprobs().getFirst().scores().getFirst().token()).isEqualTo(303);
    assertThat(second.promptLogprobs().getFirst().scores().getFirst().topIds()).hasSize(2);
  }

  @Test
  void run_planAgainstItsRules_throws() {
    StepPlan unknown =
        new StepPlan(
            1, new long[0], List.of(), List.of(new StepPlan.Slice(9, 0, 1, new int[] {0}, true)));
    assertThatThrownBy(() -> runner.run(unknown)).hasMessageContaining("never started");
    for (StepPlan.Slice bad :
        List.of(
            new StepPlan.Slice(1, 0, 6, new int[] {0}, true),
            new StepPlan.Slice(1, 0, 4, new int[] {0}, true),
            new StepPlan.Slice(1, 0, 5, new int[0], true),
            new StepPlan.Slice(1, 0, 5, new int[] {16}, true))) {
      StepPlan plan =
          new StepPlan(
              1,
              new long[0],
              List.of(start(1, PROMPT, SamplingParams.greedy(1), "")),
              List.of(bad));
      assertThatThrownBy(() -> runner.run(plan)).isInstanceOf(IllegalStateException.class);
    }
  }

  private static StepPlan.Start start(
      long key, int[] tokens, SamplingParams params, String adapter) {
    return new StepPlan.Start(key, tokens, tokens.length, params, adapter);
  }

  private static SamplingParams allowed(int[] ids, int[][] badWords) {
    return params(ids, badWords, -1);
  }

  private static SamplingParams scored(int top) {
    return params(new int[0], new int[0][], top);
  }

  private static SamplingParams params(int[] allowed, int[][] badWords, int promptLogprobs) {
    return new SamplingParams(
        0,
        1,
        0,
        0,
        0,
        0,
        1,
        0,
        5,
        0,
        false,
        new int[0],
        new int[0],
        new float[0],
        allowed,
        badWords,
        -1,
        promptLogprobs);
  }
}
