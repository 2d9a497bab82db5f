package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.time.Duration;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class NullRunnerTest {
  private static final int[] VOCABULARY = {11, 12, 13};

  @Test
  void run_slices_givesTokensByPositionOnly() {
    try (NullRunner runner = new NullRunner(VOCABULARY, Duration.ZERO)) {
      StepPlan plan =
          plan(
              new StepPlan.Slice(5, 0, 4, new int[0], true),
              new StepPlan.Slice(6, 2, 9, new int[0], false),
              new StepPlan.Slice(7, 3, 1, new int[0], true));
      StepOutcome outcome = runner.run(plan);
      assertThat(outcome.keys()).containsExactly(5, 7);
      assertThat(outcome.tokens()).isDeepEqualTo(new int[][] {{12}, {12}});
      assertThat(outcome.failures()).isEmpty();
    }
  }

  @Test
  void run_withStepTime_takesThatTime() {
    try (NullRunner runner = new NullRunner(VOCABULARY, Duration.ofMillis(3))) {
      long start = System.nanoTime();
      for (int i = 0; i < 5; i++) {
        StepOutcome outcome = runner.run(plan());
        assertThat(outcome.keys()).isEmpty();
      }
      assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(15_000_000);
    }
  }

  @Test
  void finish_twoPlansUnderWay_takesTheTimeOfBoth() {
    try (NullRunner runner = new NullRunner(VOCABULARY, Duration.ofMillis(3))) {
      long start = System.nanoTime();
      runner.begin(plan(new StepPlan.Slice(5, 0, 4, new int[0], true)));
      runner.begin(plan(new StepPlan.Slice(6, 0, 4, new int[0], true)));
      assertThatThrownBy(() -> runner.begin(plan())).isInstanceOf(IllegalStateException.class);
      assertThat(runner.finish().keys()).containsExactly(5);
      assertThat(runner.finish().keys()).containsExactly(6);
      assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(6_000_000);
      assertThatThrownBy(runner::finish).isInstanceOf(IllegalStateException.class);
    }
  }

  /** 5,000 steps a second are promised for 256 sequences; a fifth of that fails on no machine. */
  @Test
  void run_wideBatchWithoutTime_isFast() {
    StepPlan.Slice[] slices =
        IntStream.range(0, 256)
            .mapToObj(i -> new StepPlan.Slice(i, 100, 1, new int[0], true))
            .toArray(StepPlan.Slice[]::new);
    StepPlan plan = plan(slices);
    try (NullRunner runner = new NullRunner(VOCABULARY, Duration.ZERO)) {
      long start = System.nanoTime();
      long tokens = 0;
      for (int i = 0; i < 2000; i++) {
        tokens += runner.run(plan).tokens().length;
      }
      double stepsPerSecond = 2000 / ((System.nanoTime() - start) / 1e9);
      assertThat(tokens).isEqualTo(2000L * 256);
      assertThat(stepsPerSecond).isGreaterThan(1000);
      System.out.printf("NullRunner: %.0f steps/s of 256 sequences%n", stepsPerSecond);
    }
  }

  @Test
  void constructor_emptyVocabulary_throws() {
    assertThatThrownBy(() -> new NullRunner(new int[0], Duration.ZERO))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private static StepPlan plan(StepPlan.Slice... slices) {
    return new StepPlan(1, new long[0], List.of(), List.of(slices));
  }
}
