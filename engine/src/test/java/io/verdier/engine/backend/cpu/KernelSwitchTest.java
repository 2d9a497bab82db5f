package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.cpu.CpuBackend.KernelForm;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.ModelLoader;
import io.verdier.engine.run.TestConfig;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Kernels may change between any two operations of a stream, and nobody can tell. */
class KernelSwitchTest {
  private static final int STEPS = 40;

  @Test
  void forward_kernelsChangeInMidStream_givesSameBits() {
    float[][] plain = logits(false);
    assertThat(logits(true)).isEqualTo(plain);
  }

  @Test
  void warmup_afterItsDelay_bringsVectorKernels() {
    try (CpuBackend backend = new CpuBackend(OptionalInt.of(1), KernelForm.WARMING)) {
      assertThat(backend.isVectorized()).isFalse();
      long deadline = System.nanoTime() + 60_000_000_000L;
      while (!backend.isVectorized() && System.nanoTime() < deadline) {
        Thread.onSpinWait();
      }
      assertThat(backend.isVectorized()).isTrue();
    }
  }

  private static float[][] logits(boolean changing) {
    CpuBackend backend = new CpuBackend(OptionalInt.of(2), KernelForm.SCALAR);
    try (LoadedModel model =
        ModelLoader.load(
            Path.of("src/main/resources/demo-model"),
            TestConfig.of(64, 1, OptionalInt.of(128), OptionalInt.of(8)),
            backend,
            (done, total) -> {})) {
      AttentionBatch batch = new AttentionBatch(64, 1);
      float[][] logits = new float[STEPS][model.spec().vocabSize()];
      int position = 0;
      for (int step = 0; step < STEPS; step++) {
        if (changing) {
          backend.use(step % 2 == 0 ? new VectorKernels() : new ScalarKernels());
        }
        int count = step == 0 ? 50 : 1;
        batch.clear();
        batch.add(p -> 200 + p * 13 % 3000, position, count, IntStream.range(0, 8).toArray());
        model.transformer().forward(batch, model.cache());
        model.transformer().logits(new int[] {count - 1}, 0, 1, logits[step]);
        position += count;
      }
      return logits;
    }
  }
}
