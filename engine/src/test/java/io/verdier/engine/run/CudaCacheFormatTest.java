package io.verdier.engine.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cuda.CacheFormat;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import io.verdier.engine.backend.cuda.TestCuda;
import io.verdier.engine.backend.cuda.WeightFormat;
import io.verdier.engine.model.LoadedModel;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * A cache of eight bits: half the memory, the same bits alone and in a batch, and logits that stay
 * near those of a bfloat16 cache. Some of the golden prompts: emulation takes its time.
 *
 * <p>The demo model is small and therefore a hard case. Bounds are about twice what was measured.
 */
class CudaCacheFormatTest {
  private static final double DIVERGENCE_MAX = 0.012;
  private static final double SAME_CHOICE_MIN = 0.96;
  private static final Options GRAPHS = Options.defaults().with(CacheFormat.FP8);
  private static final Options EAGER = new Options(true, WeightFormat.BF16, CacheFormat.FP8, 0.9);

  @Test
  void kvTokenBytes_fp8_areHalf() {
    try (CudaBackend wide = TestCuda.backend(Options.defaults());
        CudaBackend narrow = TestCuda.backend(GRAPHS)) {
      assertThat(2 * narrow.kvTokenBytes(6, 4, 32)).isEqualTo(wide.kvTokenBytes(6, 4, 32));
      assertThat(narrow.kvCacheType()).isEqualTo("fp8");
    }
  }

  @Test
  void logits_fp8Cache_stayNearThoseOfBfloat16() {
    List<double[]> exact = logProbabilities(Options.defaults());
    List<double[]> actual = logProbabilities(GRAPHS);
    double divergence = 0;
    int sameChoice = 0;
    for (int i = 0; i < exact.size(); i++) {
      double[] p = exact.get(i);
      double[] q = actual.get(i);
      for (int token = 0; token < p.length; token++) {
        divergence += Math.exp(p[token]) * (p[token] - q[token]);
      }
      sameChoice +=
          QuantizationQualityTest.largest(p) == QuantizationQualityTest.largest(q) ? 1 : 0;
    }
    divergence /= exact.size();
    double share = (double) sameChoice / exact.size();
    System.out.printf(
        "CudaCacheFormatTest: divergence %.5f, same choice %.1f %% of %d positions%n",
        divergence, 100 * share, exact.size());
    assertThat(divergence).isPositive().isLessThan(DIVERGENCE_MAX);
    assertThat(share).isGreaterThan(SAME_CHOICE_MIN);
  }

  private static List<double[]> logProbabilities(Options options) {
    List<double[]> rows = new ArrayList<>();
    List<Golden.Case> cases = Golden.cases("logits.json");
    try (LoadedModel model = GoldenModelTest.load(Golden.MODEL, TestCuda.backend(options))) {
      for (int i = 0; i < cases.size(); i += 3) {
        for (float[] logits : GoldenModelTest.forward(model, cases.get(i).ids())) {
          rows.add(QuantizationQualityTest.logSoftmax(logits));
        }
      }
    }
    return rows;
  }

  /** One by one and launch by launch; then in chunks, captured, and with sequences put back. */
  @Test
  void run_batchOfPrompts_givesSameBitsAsAlone() {
    List<Golden.Case> cases = Golden.cases("logits.json");
    List<String> expected = new ArrayList<>();
    try (Driver driver = Driver.load(Golden.MODEL, TestCuda.backend(EAGER), 1)) {
      for (int i = 0; i < cases.size(); i += 4) {
        Driver.Sequence sequence = driver.add(cases.get(i).ids(), BitEqualityTest.params(i));
        driver.finish(List.of(sequence), 1024);
        expected.add(BitEqualityTest.trace(sequence));
      }
    }
    try (Driver driver = Driver.load(Golden.MODEL, TestCuda.backend(GRAPHS), 6)) {
      List<Driver.Sequence> batch = new ArrayList<>();
      for (int i = 0; i < cases.size(); i += 4) {
        batch.add(driver.add(cases.get(i).ids(), BitEqualityTest.params(i)));
      }
      for (int step = 0; batch.stream().anyMatch(s -> !s.done()); step++) {
        driver.step(batch, 50);
        Driver.Sequence victim = batch.get(step % batch.size());
        if (step % 11 == 10 && !victim.done()) {
          driver.preempt(victim);
        }
      }
      assertThat(batch.stream().map(BitEqualityTest::trace).toList()).isEqualTo(expected);
    }
  }
}
