package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.sample.SamplingParams;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The demo models against the float64 reference. Float32 arithmetic differs from it by 3e-5 (the
 * golden data's README); the tolerance leaves room for another order of summation.
 */
class GoldenModelTest {
  private static final double TOLERANCE = 1e-3;

  @ParameterizedTest
  @CsvSource({"logits.json,false", "logits-draft.json,true"})
  void forward_goldenPrompts_givesReferenceLogits(String file, boolean draft) {
    try (LoadedModel model = load(draft ? Golden.DRAFT : Golden.MODEL)) {
      for (Golden.Case golden : Golden.cases(file)) {
        float[][] logits = forward(model, golden.ids());
        for (Golden.Row row : golden.rows()) {
          float[] actual = logits[row.position()];
          assertThat(logsumexp(actual)).isCloseTo(row.logsumexp(), within(TOLERANCE));
          for (int i = 0; i < row.topIds().length; i++) {
            assertThat((double) actual[row.topIds()[i]])
                .as("%s position %d", golden.name(), row.position())
                .isCloseTo(row.topLogits()[i], within(TOLERANCE));
          }
        }
        if (golden.hasPromptLogprobSum()) {
          assertThat(promptLogprobSum(logits, golden.ids()))
              .as(golden.name())
              .isCloseTo(golden.promptLogprobSum(), within(TOLERANCE * golden.ids().length));
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"logits.json,false", "logits-draft.json,true"})
  void run_goldenPrompts_givesReferenceContinuations(String file, boolean draft) {
    Path directory = draft ? Golden.DRAFT : Golden.MODEL;
    try (Driver driver = Driver.load(directory, 2, KernelForm.VECTOR, 1)) {
      for (Golden.Case golden : Golden.cases(file)) {
        Driver.Sequence sequence = driver.add(golden.ids(), SamplingParams.greedy(64));
        driver.finish(List.of(sequence), 1024);
        assertThat(sequence.generated()).as(golden.name()).isEqualTo(golden.greedy());
      }
    }
  }

  private static LoadedModel load(Path directory) {
    return load(directory, new CpuBackend(OptionalInt.of(2), KernelForm.VECTOR));
  }

  static LoadedModel load(Path directory, Backend backend) {
    return ModelLoader.load(
        directory,
        TestConfig.of(1024, 4, OptionalInt.of(1024), OptionalInt.of(64)),
        backend,
        (done, total) -> {});
  }

  static float[][] forward(LoadedModel model, int[] ids) {
    AttentionBatch batch = new AttentionBatch(1024, 1);
    batch.add(i -> ids[i], 0, ids.length, IntStream.range(0, 64).map(i -> 63 - i).toArray());
    model.transformer().forward(batch, model.cache());
    int vocab = model.spec().vocabSize();
    float[][] logits = new float[ids.length][];
    float[] row = new float[vocab];
    for (int i = 0; i < ids.length; i++) {
      model.transformer().logits(new int[] {i}, 0, 1, row);
      logits[i] = row.clone();
    }
    return logits;
  }

  static double logsumexp(float[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    return max + Math.log(sum);
  }

  private static double promptLogprobSum(float[][] logits, int[] ids) {
    return IntStream.range(0, ids.length - 1)
        .mapToDouble(i -> logits[i][ids[i + 1]] - logsumexp(logits[i]))
        .sum();
  }
}
