package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Adapters over inputs in bytes, which the shared contract does not have. */
class NativeLoraTest {
  private static final int ROWS = 19;
  private static final int COLUMNS = 600;
  private static final int OUTPUTS = 70;
  private static final int RANK = 9;
  private static final float SCALE = 0.02f;

  private final Random random = new Random(7);

  /**
   * Tolerance: a byte holds an input to 1/254 of its block's largest, some 3.5; that is an error of
   * 0.004 on average, which 600 terms of order 1 make to 0.1 and the second factor to 0.006.
   */
  @ParameterizedTest
  @EnumSource(KernelLevel.class)
  void addLora_bytes_isNearOracleAndTheSameAlone(KernelLevel level) {
    try (NativeBackend backend =
            new NativeBackend(NativeLevels.require(level), WeightFormat.INT8, 2, "test");
        Arena arena = Arena.ofShared()) {
      float[][] a = matrix(RANK, COLUMNS);
      float[][] b = matrix(OUTPUTS, RANK);
      CpuLoraSlots slots =
          backend.loraSlots(
              new LoraShape(1, RANK, List.of(new Product(COLUMNS, List.of(OUTPUTS)))));
      CpuLoraImage image = slots.image();
      image.fill(List.of(new LoraFactors(0, 0, stored(a, arena), stored(b, arena), SCALE)));
      slots.load(0, image);
      LoraTarget target = new LoraTarget(slots, 0);
      float[][] x = matrix(ROWS, COLUMNS);
      float[][] all = added(backend, target, x, arena);
      for (int row = 0; row < ROWS; row++) {
        assertThat(added(backend, target, new float[][] {x[row]}, arena)[0]).isEqualTo(all[row]);
        for (int i = 0; i < OUTPUTS; i++) {
          double exact = 0;
          for (int r = 0; r < RANK; r++) {
            double low = 0;
            for (int k = 0; k < COLUMNS; k++) {
              low += (double) a[r][k] * x[row][k];
            }
            exact += SCALE * low * b[i][r];
          }
          assertThat((double) all[row][i]).isCloseTo(exact, within(0.05));
        }
      }
      image.close();
    }
  }

  private static float[][] added(
      NativeBackend backend, LoraTarget target, float[][] x, Arena arena) {
    @Nullable StoredTensor none = null;
    NativeMatrix zeros =
        backend.matrix(List.of(stored(new float[OUTPUTS][COLUMNS], arena)), Arrays.asList(none));
    NativeTensor input = backend.tensor(x.length, COLUMNS);
    for (int row = 0; row < x.length; row++) {
      MemorySegment to =
          MemorySegment.ofAddress(input.address() + (long) row * input.stride() * Float.BYTES)
              .reinterpret((long) COLUMNS * Float.BYTES);
      MemorySegment.copy(x[row], 0, to, ValueLayout.JAVA_FLOAT, 0, COLUMNS);
    }
    NativeOperand in = backend.operand(x.length, COLUMNS);
    backend.convert(in, input);
    NativeTensor sum = backend.tensor(x.length, OUTPUTS);
    backend.matmul(sum, in, zeros);
    AttentionBatch batch = new AttentionBatch(x.length, 1);
    batch.add(p -> 0, 0, x.length, new int[0], 0);
    backend.addLora(sum, in, target, batch);
    float[][] rows = new float[x.length][OUTPUTS];
    for (int row = 0; row < x.length; row++) {
      sum.copyOut(row, 0, rows[row], 0, OUTPUTS);
    }
    return rows;
  }

  /** Standard normal numbers of which a bfloat16 keeps every bit. */
  private float[][] matrix(int rows, int columns) {
    float[][] m = new float[rows][columns];
    for (float[] row : m) {
      for (int i = 0; i < columns; i++) {
        float number = (float) random.nextGaussian();
        row[i] = Float.intBitsToFloat(Float.floatToRawIntBits(number) & 0xffff0000);
      }
    }
    return m;
  }

  private static StoredTensor stored(float[][] rows, Arena arena) {
    int columns = rows[0].length;
    MemorySegment data = arena.allocate((long) rows.length * columns * Float.BYTES, 8);
    for (int row = 0; row < rows.length; row++) {
      MemorySegment.copy(
          rows[row], 0, data, ValueLayout.JAVA_FLOAT, (long) row * columns * Float.BYTES, columns);
    }
    return new StoredTensor("m", DType.F32, new long[] {rows.length, columns}, data);
  }
}
