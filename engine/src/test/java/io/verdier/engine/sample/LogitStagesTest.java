package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Each stage alone, on a row of six logits; tokens 1, 1, 4 are the prompt, 2, 2, 3 the answer. */
class LogitStagesTest {
  private static final float X = Float.NEGATIVE_INFINITY;
  private static final int[] END = {5};

  @Test
  void apply_nothingAsked_changesNothing() {
    assertThat(applied(p -> {})).containsExactly(1, 2, 3, -1, -2, 0);
    assertThat(LogitStages.areIdle(history(), new ParamsBuilder().build())).isTrue();
  }

  @Test
  void apply_allowedIds_masksTheOthers() {
    assertThat(applied(p -> p.allowed = new int[] {0, 3})).containsExactly(1, X, X, -1, X, X);
    assertThat(applied(p -> p.allowed = new int[] {5})).containsExactly(X, X, X, X, X, 0);
    assertThat(applied(p -> p.allowed = new int[] {0, 1, 2, 3, 4, 5}))
        .containsExactly(1, 2, 3, -1, -2, 0);
  }

  @Test
  void apply_badWords_masksWhatWouldCompleteOne() {
    assertThat(
            applied(
                p ->
                    p.badWords =
                        new int[][] {
                          {0}, // alone
                          {2, 3, 1}, // follows the answer
                          {3, 2, 4}, // does not
                          {4, 2, 2, 3, 5}, // would reach into the prompt
                        }))
        .containsExactly(X, X, 3, -1, -2, 0);
  }

  @Test
  void apply_minTokens_masksEndAndStopIdsUntilReached() {
    assertThat(
            applied(
                p -> {
                  p.minTokens = 4;
                  p.stopIds = new int[] {1};
                }))
        .containsExactly(1, X, 3, -1, -2, X);
    assertThat(applied(p -> p.minTokens = 3)).containsExactly(1, 2, 3, -1, -2, 0);
  }

  @Test
  void apply_bias_isAddedAndCannotUnmask() {
    assertThat(
            applied(
                p -> {
                  p.biasIds = new int[] {0, 2};
                  p.biasValues = new float[] {100, -1.5f};
                  p.allowed = new int[] {2, 3};
                }))
        .containsExactly(X, X, 1.5f, -1, X, X);
  }

  @Test
  void apply_repetitionPenalty_concernsPromptAndAnswerOnce() {
    assertThat(applied(p -> p.repetition = 2)).containsExactly(1, 1, 1.5f, -2, -4, 0);
  }

  @Test
  void apply_frequencyPenalty_countsTheAnswerOnly() {
    assertThat(applied(p -> p.frequency = 0.5f)).containsExactly(1, 2, 2, -1.5f, -2, 0);
  }

  @Test
  void apply_presencePenalty_concernsTheAnswerOnce() {
    assertThat(applied(p -> p.presence = -0.5f)).containsExactly(1, 2, 3.5f, -0.5f, -2, 0);
  }

  @Test
  void apply_allPenalties_followBiasInOrder() {
    float[] row =
        applied(
            p -> {
              p.biasIds = new int[] {3};
              p.biasValues = new float[] {5}; // 4: positive now, so it is divided
              p.repetition = 2;
              p.frequency = 0.5f;
              p.presence = 0.25f;
            });
    assertThat(row).containsExactly(1, 1, 1.5f - 1 - 0.25f, 2 - 0.5f - 0.25f, -4, 0);
  }

  @Test
  void areIdle_anyStageAsked_isFalse() {
    assertBusy(p -> p.allowed = new int[] {1});
    assertBusy(p -> p.badWords = new int[][] {{1}});
    assertBusy(p -> p.minTokens = 4);
    assertBusy(p -> p.biasIds = new int[] {1});
    assertBusy(p -> p.repetition = 1.1f);
    assertBusy(p -> p.frequency = 0.1f);
    assertBusy(p -> p.presence = 0.1f);
  }

  private static void assertBusy(Consumer<ParamsBuilder> change) {
    ParamsBuilder params = new ParamsBuilder();
    change.accept(params);
    assertThat(LogitStages.areIdle(history(), params.build())).isFalse();
  }

  private static float[] applied(Consumer<ParamsBuilder> change) {
    ParamsBuilder params = new ParamsBuilder();
    change.accept(params);
    float[] row = {1, 2, 3, -1, -2, 0};
    LogitStages.apply(row, END, history(), params.build(), null);
    return row;
  }

  private static TokenHistory history() {
    return new TokenHistory(new int[] {1, 1, 4, 2, 2, 3}, 3);
  }
}
