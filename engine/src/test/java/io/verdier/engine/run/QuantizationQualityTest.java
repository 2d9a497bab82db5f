package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.backend.cuda.CacheFormat;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.model.LoadedModel;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What quantization costs: over every position of the golden prompts, the Kullback-Leibler
 * divergence of a format's next-token distribution from that of the weights as they are, computed
 * in float32, and how much larger the perplexity of the prompts becomes.
 *
 * <p>The demo model is small and therefore a hard case: the larger a model, the less its answers
 * depend on any one weight. Bounds are about twice what was measured.
 */
class QuantizationQualityTest {
  private static final List<List<double[]>> REFERENCE = new ArrayList<>(); // by case and position
  private static final List<Golden.Case> CASES = Golden.cases("logits.json");

  @BeforeAll
  static void computeReference() {
    CpuBackend exact = new CpuBackend(OptionalInt.of(2), KernelForm.VECTOR);
    try (LoadedModel model = GoldenModelTest.load(Golden.MODEL, exact)) {
      for (Golden.Case golden : CASES) {
        REFERENCE.add(logProbabilities(model, golden));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"BF16,0.0005,1.002", "INT8,0.004,1.01", "INT4,0.15,1.10"})
  void logits_quantizedWeights_stayNearExactOnes(
      WeightFormat format, double divergenceMax, double perplexityRatioMax) {
    List<KernelLevel> levels = NativeLevels.available();
    Assumptions.assumeFalse(levels.isEmpty(), "no kernels in C here");
    Cost cost = cost(NativeLevels.backend(levels.getFirst(), format, 2), 1);
    System.out.printf("QuantizationQualityTest: %s %s%n", format, cost);
    assertThat(cost.divergence).isLessThan(divergenceMax);
    assertThat(cost.perplexityRatio).isLessThan(perplexityRatioMax);
  }

  /** A third of the prompts: emulation takes its time. */
  @ParameterizedTest
  @CsvSource({"BF16,0.001,1.004", "FP8,0.02,1.03", "INT8,0.004,1.01", "INT4,0.15,1.10"})
  void logits_weightsQuantizedOnDevice_stayNearExactOnes(
      io.verdier.engine.backend.cuda.WeightFormat format,
      double divergenceMax,
      double perplexityRatioMax) {
    Cost cost =
        cost(TestCuda.backend(new CudaBackend.Options(true, format, CacheFormat.BF16, 0.9)), 3);
    System.out.printf("QuantizationQualityTest: CUDA, %s %s%n", format, cost);
    assertThat(cost.divergence).isLessThan(divergenceMax);
    assertThat(cost.perplexityRatio).isLessThan(perplexityRatioMax);
  }

  private record Cost(double divergence, double perplexityRatio, double sameChoice, int positions) {
    @Override
    public String toString() {
      return "divergence %.5f, perplexity %.4f of exact, same choice %.1f %% of %d positions"
          .formatted(divergence, perplexityRatio, 100 * sameChoice, positions);
    }
  }

  /** Of every {@code stride}th prompt. */
  private static Cost cost(Backend backend, int stride) {
    double divergence = 0;
    double lossMore = 0;
    int sameChoice = 0;
    int positions = 0;
    int predictions = 0;
    try (LoadedModel model = GoldenModelTest.load(Golden.MODEL, backend)) {
      for (int i = 0; i < CASES.size(); i += stride) {
        int[] ids = CASES.get(i).ids();
        List<double[]> actual = logProbabilities(model, CASES.get(i));
        for (int position = 0; position < ids.length; position++, positions++) {
          double[] p = REFERENCE.get(i).get(position);
          double[] q = actual.get(position);
          for (int token = 0; token < p.length; token++) {
            divergence += Math.exp(p[token]) * (p[token] - q[token]);
          }
          sameChoice += largest(p) == largest(q) ? 1 : 0;
          if (position + 1 < ids.length) {
            lossMore += p[ids[position + 1]] - q[ids[position + 1]];
            predictions++;
          }
        }
      }
    }
    return new Cost(
        divergence / positions,
        Math.exp(lossMore / predictions),
        (double) sameChoice / positions,
        positions);
  }

  private static List<double[]> logProbabilities(LoadedModel model, Golden.Case golden) {
    List<double[]> rows = new ArrayList<>();
    for (float[] logits : GoldenModelTest.forward(model, golden.ids())) {
      rows.add(logSoftmax(logits));
    }
    return rows;
  }

  static double[] logSoftmax(float[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - max);
    }
    double[] row = new double[logits.length];
    for (int i = 0; i < row.length; i++) {
      row[i] = logits[i] - max - Math.log(sum);
    }
    return row;
  }

  static int largest(double[] row) {
    int best = 0;
    for (int i = 1; i < row.length; i++) {
      best = row[i] > row[best] ? i : best;
    }
    return best;
  }
}
