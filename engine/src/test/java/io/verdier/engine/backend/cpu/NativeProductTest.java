package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Products in C of every level and format against {@link ProductOracle}: bytes to the bit, and for
 * all of them that a row's product is the same alone, in any number of rows and on any threads.
 * Inputs and weights are of the unpleasant kind: zeros, outliers, numbers that are not.
 */
class NativeProductTest {
  /** Rows of a product: around whole panels of 2, 6, 12, 32 rows, and around several of them. */
  private static final int[] COUNTS = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 31, 32, 33, 48, 64, 65, 100, 200, 511, 512
  };

  private static final int ROWS = 512;

  /** Rows and columns of a matrix: broken tiles, groups and blocks, odd groups, several passes. */
  private static final int[][] SHAPES = {
    {5, 32},
    {32, 64},
    {40, 77},
    {257, 96},
    {40, 256},
    {33, 300},
    {70, 320},
    {257, 512},
    {40, 600},
    {1056, 2048},
    {40, 4128},
    {64, 8192}
  };

  /** What lies where a product must not write. */
  private static final float UNTOUCHED = -777;

  private final ProductNumbers numbers = new ProductNumbers();

  static Stream<Arguments> kernels() {
    return NativeLevels.available().stream()
        .flatMap(
            level ->
                Arrays.stream(WeightFormat.values()).map(format -> Arguments.of(level, format)));
  }

  private static NativeBackend backend(KernelLevel level, WeightFormat format, int threads) {
    return new NativeBackend(NativeLevels.require(level), format, threads, "test");
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void matmul_anyShapeAndRows_givesEachRowWhatItHasAlone(KernelLevel level, WeightFormat format) {
    for (int[] shape : SHAPES) {
      for (boolean raw : new boolean[] {false, true}) {
        if (raw && format == WeightFormat.BF16) {
          continue;
        }
        try (NativeBackend backend = backend(level, format, 2)) {
          NativeMatrix matrix = matrix(backend, shape[0], shape[1], true);
          if (raw) {
            numbers.scramble(matrix);
          }
          float[][] inputs = numbers.inputs(ROWS, shape[1]);
          float[][] alone = requireEachAlone(backend, matrix, inputs, shape);
          requireOracle(matrix, inputs, alone);
        }
      }
    }
  }

  /** Products of some rows, as a window of larger tensors, are those of each row; returns these. */
  private float[][] requireEachAlone(
      NativeBackend backend, NativeMatrix matrix, float[][] inputs, int[] shape) {
    NativeTensor in = tensor(backend, inputs);
    NativeOperand operand = backend.operand(ROWS + 8, matrix.columns());
    NativeTensor wide = backend.tensor(ROWS + 8, matrix.rows() + 9);
    NativeTensor out = wide.columns(5, matrix.rows());
    float[][] alone = new float[ROWS][];
    for (int row = 0; row < ROWS; row++) {
      alone[row] = product(backend, matrix, in, row, 1, operand, out, row % 9)[0];
    }
    for (int count : COUNTS) {
      int first = (ROWS - count) * 2 / 3;
      int at = count % 9;
      fill(wide, UNTOUCHED);
      float[][] together = product(backend, matrix, in, first, count, operand, out, at);
      for (int i = 0; i < count; i++) {
        if (!Arrays.equals(together[i], alone[first + i])) {
          assertThat(together[i])
              .as("%s, row %d of %d", Arrays.toString(shape), i, count)
              .isEqualTo(alone[first + i]);
        }
      }
      requireUntouched(wide, at, count, matrix.rows());
    }
    return alone;
  }

  private static void requireUntouched(NativeTensor wide, int first, int count, int columns) {
    float[] row = new float[wide.columns()];
    wide.select(0, wide.rowsMax());
    for (int r = 0; r < wide.rowsMax(); r++) {
      wide.copyOut(r, 0, row, 0, row.length);
      boolean written = r >= first && r < first + count;
      for (int c = 0; c < row.length; c++) {
        if (!(written && c >= 5 && c < 5 + columns) && row[c] != UNTOUCHED) {
          assertThat(row[c]).as("row %d column %d", r, c).isEqualTo(UNTOUCHED);
        }
      }
    }
  }

  /** Of the unpleasant rows, and some others. */
  private static void requireOracle(NativeMatrix matrix, float[][] inputs, float[][] actual) {
    ProductOracle oracle = new ProductOracle(matrix);
    for (int row = 0; row < 24; row++) {
      if (matrix.format() != WeightFormat.BF16) {
        assertThat(actual[row]).as("row %d", row).isEqualTo(oracle.product(inputs[row]));
        continue;
      }
      double[][] expected = oracle.sum(inputs[row]);
      for (int i = 0; i < matrix.rows(); i++) {
        double sum = expected[0][i];
        if (Double.isFinite(sum)) {
          assertThat((double) actual[row][i])
              .as("row %d output %d", row, i)
              .isCloseTo(sum, within(expected[1][i]));
        } else {
          assertThat(actual[row][i]).as("row %d output %d", row, i).isNotFinite();
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = WeightFormat.class,
      names = {"INT8", "INT4"})
  void matmul_quantizedWeights_givesSameBitsOnAllLevels(WeightFormat format) {
    for (int count : new int[] {1, 3, 6, 7, 33, 130}) {
      float[][] first = null;
      for (KernelLevel level : NativeLevels.available()) {
        numbers.restart(count);
        try (NativeBackend backend = backend(level, format, 2)) {
          NativeMatrix matrix = matrix(backend, 99, 2400, false);
          float[][] inputs = numbers.inputs(count, 2400);
          float[][] product = product(backend, matrix, inputs);
          first = first == null ? product : first;
          assertThat(product).as(level.word()).isEqualTo(first);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void matmul_anyThreads_givesSameBits(KernelLevel level, WeightFormat format) {
    float[][] first = null;
    for (int threads : new int[] {1, 2, 5}) {
      numbers.restart(3);
      List<float[]> rows = new ArrayList<>();
      for (int[] shape : new int[][] {{40, 300}, {700, 96}, {1056, 2048}}) {
        try (NativeBackend backend = backend(level, format, threads)) {
          NativeMatrix matrix = matrix(backend, shape[0], shape[1], true);
          for (int count : new int[] {1, 7, 40, 300}) {
            rows.addAll(List.of(product(backend, matrix, numbers.inputs(count, shape[1]))));
          }
        }
      }
      float[][] products = rows.toArray(float[][]::new);
      first = first == null ? products : first;
      assertThat(Arrays.deepEquals(products, first)).as("%d threads", threads).isTrue();
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void matmul_noRows_writesNothing(KernelLevel level, WeightFormat format) {
    try (NativeBackend backend = backend(level, format, 2)) {
      NativeMatrix matrix = matrix(backend, 40, 64, true);
      NativeTensor in = backend.tensor(3, 64);
      NativeOperand operand = backend.operand(3, 64);
      NativeTensor out = backend.tensor(3, 40);
      fill(out, UNTOUCHED);

      float[][] product = product(backend, matrix, in, 1, 0, operand, out, 2);
      backend.logits(new float[0], operand, matrix);

      assertThat(product).isEmpty();
      requireUntouched(out, 0, 0, 0);
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void matmulAddAndLogits_anyRows_areTheProduct(KernelLevel level, WeightFormat format) {
    for (boolean bias : new boolean[] {false, true}) {
      for (int count : new int[] {1, 4, 5, 13, 33, 100}) {
        try (NativeBackend backend = backend(level, format, 2)) {
          NativeMatrix matrix = matrix(backend, 333, 600, bias);
          float[][] inputs = numbers.inputs(count, 600);
          float[][] product = product(backend, matrix, inputs);
          float[][] before = numbers.inputs(count, 333);
          NativeTensor sum = tensor(backend, before);
          NativeOperand operand = operand(backend, inputs);
          backend.matmulAdd(sum, operand, matrix);
          float[] logits = new float[count * 333];
          backend.logits(logits, operand, matrix);

          float[][] added = read(sum);
          for (int r = 0; r < count; r++) {
            float[] expected = new float[333];
            for (int i = 0; i < 333; i++) {
              expected[i] = before[r][i] + product[r][i];
            }
            assertThat(added[r]).as("row %d of %d", r, count).isEqualTo(expected);
            assertThat(Arrays.copyOfRange(logits, r * 333, (r + 1) * 333)).isEqualTo(product[r]);
          }
        }
      }
    }
  }

  /**
   * The gated operand, read by another product, is the operand of what the formula gives from the
   * products of gate and up projection.
   */
  @ParameterizedTest
  @MethodSource("kernels")
  void matmulGate_anyShape_isTheFormulaOfTheProducts(KernelLevel level, WeightFormat format) {
    for (int gated : new int[] {7, 32, 64, 77, 96, 250, 256, 270, 288, 320, 1312}) {
      for (int columns : new int[] {64, 300, 2080}) {
        try (NativeBackend backend = backend(level, format, 2)) {
          StoredTensor gateWeights = numbers.weights(gated, columns);
          StoredTensor upWeights = numbers.weights(gated, columns);
          @Nullable StoredTensor gateBias = gated % 4 == 0 ? numbers.vector(gated) : null;
          @Nullable StoredTensor upBias = gated % 64 == 0 ? numbers.vector(gated) : null;
          NativeMatrix both =
              backend.gateUpMatrix(
                  List.of(gateWeights, upWeights), Arrays.asList(gateBias, upBias));
          NativeMatrix gate = backend.matrix(List.of(gateWeights), Arrays.asList(gateBias));
          NativeMatrix up = backend.matrix(List.of(upWeights), Arrays.asList(upBias));
          NativeMatrix down = matrix(backend, 33, gated, false);
          for (int count : new int[] {1, 3, 5, 12, 33, 200}) {
            float[][] inputs = numbers.inputs(count, columns);
            float[][] expected =
                gated(product(backend, gate, inputs), product(backend, up, inputs));
            float[][] actual = gated(backend, both, down, inputs);
            float[][] wanted = product(backend, down, expected);
            for (int r = 0; r < count; r++) {
              // Where a row has an infinity, what lies behind its last column is NaN.
              assertThat(isFinite(wanted[r]) ? actual[r] : wanted[r])
                  .as("%d of %d columns, row %d of %d", gated, columns, r, count)
                  .isEqualTo(wanted[r]);
              assertThat(isFinite(actual[r])).isEqualTo(isFinite(wanted[r]));
            }
          }
        }
      }
    }
  }

  private static boolean isFinite(float[] row) {
    for (float x : row) {
      if (!Float.isFinite(x)) {
        return false;
      }
    }
    return true;
  }

  private static float[][] gated(float[][] gate, float[][] up) {
    float[][] gated = new float[gate.length][gate[0].length];
    for (int r = 0; r < gated.length; r++) {
      for (int i = 0; i < gated[r].length; i++) {
        gated[r][i] = ProductOracle.gate(gate[r][i], up[r][i]);
      }
    }
    return gated;
  }

  /** The same in one go, by an operand with a window, and then the down projection. */
  private static float[][] gated(
      NativeBackend backend, NativeMatrix gateUp, NativeMatrix down, float[][] inputs) {
    int count = inputs.length;
    NativeOperand gated = backend.operand(count + 5, down.columns());
    gated.select(3, count);
    MemorySegment.ofAddress(gated.address())
        .reinterpret(count * gated.format().rowBytes(down.columns()))
        .fill((byte) 0x55); // what is not written shows
    backend.matmulGate(gated, operand(backend, inputs), gateUp);
    NativeTensor product = backend.tensor(count, down.rows());
    backend.matmul(product, gated, down);
    return read(product);
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void embed_packedRows_areWhatTheFormatMeans(KernelLevel level, WeightFormat format) {
    for (int columns : new int[] {32, 77, 300, 600}) {
      try (NativeBackend backend = backend(level, format, 2)) {
        StoredTensor source = numbers.weights(70, columns);
        NativeMatrix matrix = backend.matrix(List.of(source), Arrays.asList(numbers.vector(70)));
        ProductOracle oracle = new ProductOracle(matrix);
        AttentionBatch batch = new AttentionBatch(70, 1);
        batch.add(position -> 69 - position, 0, 70, new int[0]);
        NativeTensor out = backend.tensor(70, columns);
        backend.embed(out, matrix, batch);

        float[][] rows = read(out);
        for (int r = 0; r < 70; r++) {
          for (int c = 0; c < columns; c++) {
            double x = source.data().getAtIndex(ValueLayout.JAVA_FLOAT, (69L - r) * columns + c);
            assertThat(rows[r][c]).isEqualTo(oracle.weight(69 - r, c));
            assertThat((double) rows[r][c]).isCloseTo(x, within(oracle.step(69 - r, c, x)));
          }
        }
      }
    }
  }

  private NativeMatrix matrix(NativeBackend backend, int rows, int columns, boolean bias) {
    return backend.matrix(
        List.of(numbers.weights(rows, columns)), Arrays.asList(bias ? numbers.vector(rows) : null));
  }

  private static NativeTensor tensor(NativeBackend backend, float[][] rows) {
    NativeTensor tensor = backend.tensor(rows.length, rows[0].length);
    MemorySegment data = memory(tensor);
    for (int r = 0; r < rows.length; r++) {
      MemorySegment.copy(
          rows[r], 0, data, ValueLayout.JAVA_FLOAT, 4L * r * tensor.stride(), rows[r].length);
    }
    return tensor;
  }

  private static MemorySegment memory(NativeTensor tensor) {
    return MemorySegment.ofAddress(tensor.address())
        .reinterpret(4L * tensor.stride() * tensor.rows());
  }

  private static void fill(NativeTensor tensor, float value) {
    tensor.select(0, tensor.rowsMax());
    MemorySegment data = memory(tensor);
    for (long i = 0; i < data.byteSize() / 4; i++) {
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
    }
  }

  private static float[][] read(NativeTensor tensor) {
    float[][] rows = new float[tensor.rows()][tensor.columns()];
    for (int r = 0; r < rows.length; r++) {
      tensor.copyOut(r, 0, rows[r], 0, rows[r].length);
    }
    return rows;
  }

  private static NativeOperand operand(NativeBackend backend, float[][] rows) {
    NativeOperand operand = backend.operand(rows.length, rows[0].length);
    backend.convert(operand, tensor(backend, rows));
    return operand;
  }

  private static float[][] product(NativeBackend backend, NativeMatrix matrix, float[][] inputs) {
    NativeTensor out = backend.tensor(inputs.length, matrix.rows());
    Operand in = operand(backend, inputs);
    backend.matmul(out, in, matrix);
    return read(out);
  }

  /** Of rows of a tensor, by an operand and an output whose windows begin at another row. */
  private static float[][] product(
      NativeBackend backend,
      NativeMatrix matrix,
      NativeTensor in,
      int first,
      int count,
      NativeOperand operand,
      NativeTensor out,
      int at) {
    in.select(first, count);
    operand.select(at, count);
    out.select(at, count);
    backend.convert(operand, in);
    backend.matmul(out, operand, matrix);
    return read(out);
  }
}
