package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * No kernel falls far behind the instruction that it consists of, as one does when a compiler
 * spills its sums. Ratios inside one run, and generous: a quiet machine gives two to four times as
 * much.
 */
class NativeSpeedTest {
  private static final int ROWS = 96;
  private static final int OUTPUTS = 512;
  private static final int COLUMNS = 1024;
  private static final int CALLS = 60;

  @ParameterizedTest
  @CsvSource({
    "AMX,BF16,0.05", "AMX,INT8,0.03", "AMX,INT4,0.03",
    "AVX512,BF16,0.3", "AVX512,INT8,0.25", "AVX512,INT4,0.25",
    "AVX2,BF16,0.15", "AVX2,INT8,0.1", "AVX2,INT4,0.1",
    "NEON,BF16,0.15", "NEON,INT8,0.15", "NEON,INT4,0.15",
  })
  void matmul_manyRows_isNotFarFromItsInstruction(
      KernelLevel level, WeightFormat format, double shareMin) {
    @Nullable StoredTensor none = null;
    try (NativeBackend backend = new NativeBackend(NativeLevels.require(level), format, 1, "test");
        Arena arena = Arena.ofShared()) {
      var data = arena.allocate(2L * OUTPUTS * COLUMNS, 64);
      for (long i = 0; i < OUTPUTS * COLUMNS; i++) {
        data.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (0x3c00 + i % 251));
      }
      StoredTensor stored = new StoredTensor("w", DType.BF16, new long[] {OUTPUTS, COLUMNS}, data);
      NativeMatrix weight = backend.matrix(List.of(stored), Arrays.asList(none));
      Operand in = backend.operand(ROWS, COLUMNS);
      backend.convert(in, backend.tensor(ROWS, COLUMNS));
      Tensor out = backend.tensor(ROWS, OUTPUTS);
      long best = Long.MAX_VALUE;
      for (int i = 0; i < CALLS; i++) {
        long start = System.nanoTime();
        backend.matmul(out, in, weight);
        best = Math.min(best, System.nanoTime() - start);
      }
      double gops = 2.0 * ROWS * OUTPUTS * COLUMNS / best;
      double probe = backend.limits().dotGops();
      System.out.printf(
          "NativeSpeedTest: %s %s %.0f GOP/s, %.0f %% of %.0f%n",
          level, format, gops, 100 * gops / probe, probe);
      assertThat(gops).isGreaterThan(shareMin * probe);
    }
  }
}
