package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.KernelLevel;
import io.verdier.engine.backend.cpu.NativeLevels;
import io.verdier.engine.backend.cpu.WeightFormat;
import io.verdier.engine.run.TestConfig;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The forward pass makes no garbage: what a step needs was allocated with the model. */
class StepAllocationTest {
  /** Before C2 has seen it a step may make a few short-lived iterators, but nothing per element. */
  private static final long BYTES_MAX = 512;

  @Test
  void forward_decodeStepInJava_allocatesNothingPerToken() {
    assertThat(leastBytes(new CpuBackend(OptionalInt.of(1), CpuBackend.KernelForm.SCALAR)))
        .isLessThan(BYTES_MAX);
  }

  @ParameterizedTest
  @EnumSource(WeightFormat.class)
  void forward_decodeStepInC_allocatesNothingPerToken(WeightFormat format) {
    Assumptions.assumeFalse(NativeLevels.available().isEmpty(), "no kernels in C here");
    KernelLevel best = NativeLevels.available().getFirst();
    assertThat(leastBytes(NativeLevels.backend(best, format, 1))).isLessThan(BYTES_MAX);
  }

  private static long leastBytes(Backend backend) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (LoadedModel model =
        ModelLoader.load(
            Path.of("src/main/resources/demo-model/draft"),
            TestConfig.of(64, 4, OptionalInt.of(256), OptionalInt.of(64)),
            backend,
            (done, total) -> {})) {
      AttentionBatch batch = new AttentionBatch(64, 4);
      float[] logits = new float[model.spec().vocabSize()];
      IntUnaryOperator tokens = p -> p;
      int[] table = IntStream.range(0, 16).toArray();
      int[] row = {0};
      long least = Long.MAX_VALUE;
      for (int position = 0; position < 200; position++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        batch.clear();
        batch.add(tokens, position, 1, table);
        model.transformer().forward(batch, model.cache());
        model.transformer().logits(row, 0, 1, logits);
        least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
      }
      System.out.println("StepAllocationTest: " + least + " bytes a step");
      return least;
    }
  }
}
