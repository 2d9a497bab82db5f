package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
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
  private static final List<double[]> REFERENCE = new ArrayList<>(); // log probabilities
  private static final List<Golden.Case> CASES = Golden.cases("logits.json");

  @BeforeAll
  static void computeReference() {
    CpuBackend exact = new CpuBackend(OptionalInt.of(2), KernelForm.VECTOR);
    REFERENCE.addAll(logProbabilities(GoldenModelTest.load(Golden.MODEL, exact)));
  }

  @ParameterizedTest
  @CsvSource({"BF16,0.0005,1.002", "INT8,0.004,1.01", "INT4,0.15,1.10"})
  void logits_quantizedWeights_stayNearExactOnes(
      WeightFormat format, double divergenceMax, double perplexityRatioMax) {
    List<KernelLevel> levels = NativeLevels.available();
    Assumptions.assumeFalse(levels.isEmpty(), "no kernels in C here");
    List<double[]> actual =
        logProbabilities(
            GoldenModelTest.load(Golden.MODEL, NativeLevels.backend(levels.getFirst(), format, 2)));
    double divergence = 0;
    int sameChoice = 0;
    for (int i = 0; i < actual.size(); i++) {
      double[] p = REFERENCE.get(i);
      double[] q = actual.get(i);
      for (int token = 0; token < p.length; token++) {
        divergence += Math.exp(p[token]) * (p[token] - q[token]);
      }
      sameChoice += largest(p) == largest(q) ? 1 : 0;
    }
    divergence /= actual.size();
    double ratio = Math.exp(meanLoss(actual) - meanLoss(REFERENCE));
    System.out.printf(
        "QuantizationQualityTest: %s divergence %.5f, perplexity %.4f of exact, same choice %.1f %%"
            + " of %d positions%n",
        format, divergence, ratio, 100.0 * sameChoice / actual.size(), actual.size());
    assertThat(divergence).isLessThan(divergenceMax);
    assertThat(ratio).isLessThan(perplexityRatioMax);
  }

  private static List<double[]> logProbabilities(LoadedModel model) {
    List<double[]> rows = new ArrayList<>();
    try (model) {
      for (Golden.Case golden : CASES) {
        for (float[] logits : GoldenModelTest.forward(model, golden.ids())) {
          rows.add(logSoftmax(logits));
        }
      }
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

  /** Mean negative log probability of each prompt token after the first. */
  private static double meanLoss(List<double[]> rows) {
    double sum = 0;
    int count = 0;
    int row = 0;
    for (Golden.Case golden : CASES) {
      for (int i = 0; i < golden.ids().length; i++, row++) {
        if (i + 1 < golden.ids().length) {
          sum -= rows.get(row)[golden.ids()[i + 1]];
          count++;
        }
      }
    }
    return sum / count;
  }

  static int largest(double[] row) {
    int best = 0;
    for (int i = 1; i < row.length; i++) {
      best = row[i] > row[best] ? i : best;
    }
    return best;
  }
}
