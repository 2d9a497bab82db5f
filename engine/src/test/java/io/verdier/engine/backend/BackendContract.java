package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every backend must do, each operation against plain loops in float64.
 *
 * <p>The only way in and out of a tensor is the interface itself: rows are put in by {@code embed}
 * from a table of F32 weights and read by {@code logits} with the identity matrix, both exact.
 *
 * <p>Tolerance: inputs are of order 1, sums have up to some hundred terms, so float32 with one
 * rounding a term is off by about {@code sqrt(100) · 6e-8}, below 1e-5 relative to the largest term
 * sums of 30; a backend that computes in less overrides {@link #tolerance}.
 */
public abstract class BackendContract {
  protected static final long SEED = Long.getLong("seed", 99);
  private final Random random = new Random(SEED);
  private final Arena arena = Arena.ofShared(); // backends may read it on threads of their own
  private final Backend backend;

  protected double tolerance() {
    return 1e-4;
  }

  protected BackendContract(Backend backend) {
    this.backend = backend;
  }

  @BeforeEach
  void printSeed() {
    System.out.println(getClass().getSimpleName() + " seed " + SEED);
  }

  @AfterEach
  void close() {
    backend.close();
    arena.close();
  }

  @ParameterizedTest
  @CsvSource({
    "1,32,64,BF16", "1,33,30,F32", "2,40,64,BF16", "3,7,66,BF16", "5,100,48,BF16",
    "16,65,128,BF16", "17,31,34,F16", "30,96,2050,BF16", "300,40,64,BF16", "13,64,1500,F32"
  })
  void matmul_anyShape_matchesOracle(int rows, int outputs, int inputs, DType type) {
    float[][] x = matrix(rows, inputs);
    float[][] w = rounded(matrix(outputs, inputs), type);
    float[][] bias = matrix(1, outputs);
    Matrix weight =
        backend.matrix(List.of(stored("w", type, w)), List.of(stored("b", DType.F32, bias)));
    Tensor in = tensor(x);
    Tensor out = backend.tensor(rows, outputs);
    backend.matmul(out, in, weight);
    float[][] actual = read(out);
    for (int r = 0; r < rows; r++) {
      for (int o = 0; o < outputs; o++) {
        double sum = bias[0][o];
        for (int i = 0; i < inputs; i++) {
          sum += (double) x[r][i] * w[o][i];
        }
        assertThat((double) actual[r][o]).isCloseTo(sum, within(tolerance() * Math.sqrt(inputs)));
      }
    }
  }

  @Test
  void matmul_stackedParts_givesPartsSideBySide() {
    float[][] a = matrix(20, 16);
    float[][] b = matrix(50, 16);
    @Nullable StoredTensor none = null;
    List<@Nullable StoredTensor> biases =
        Arrays.asList(none, stored("b", DType.F32, matrix(1, 50)));
    Matrix stacked =
        backend.matrix(List.of(stored("a", DType.F32, a), stored("b", DType.F32, b)), biases);
    Matrix second = backend.matrix(List.of(stored("b", DType.F32, b)), biases.subList(1, 2));
    Tensor in = tensor(matrix(3, 16));
    Tensor both = backend.tensor(3, 70);
    Tensor one = backend.tensor(3, 50);
    backend.matmul(both, in, stacked);
    backend.matmul(one, in, second);
    assertThat(read(both.columns(20, 50))).isEqualTo(read(one));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 100, 257, 300})
  void matmul_batchOfAnySize_givesSameBits(int rows) {
    for (DType type : new DType[] {DType.BF16, DType.F32}) {
      Matrix weight = weight(type, 45, 1100);
      float[][] x = matrix(rows, 1100);
      Tensor out = backend.tensor(rows, 45);
      backend.matmul(out, tensor(x), weight);
      float[][] batched = read(out);
      int row = random.nextInt(rows);
      Tensor alone = backend.tensor(1, 45);
      backend.matmul(alone, tensor(new float[][] {x[row]}), weight);
      assertThat(read(alone)[0]).isEqualTo(batched[row]);
    }
  }

  @ParameterizedTest
  @CsvSource({"1,64", "3,50", "40,17", "200,256"})
  void rmsNorm_anyShape_matchesOracle(int rows, int columns) {
    float[][] x = matrix(rows, columns);
    float[][] gain = matrix(1, columns);
    Tensor out = backend.tensor(rows, columns);
    backend.rmsNorm(out, tensor(x), backend.gain(stored("g", DType.F32, gain)), 1e-5f);
    float[][] actual = read(out);
    for (int r = 0; r < rows; r++) {
      assertThat(actual[r])
          .usingComparatorWithPrecision(1e-5f)
          .containsExactly(norm(x[r], gain[0]));
    }
  }

  @Test
  void headNorm_twoHeads_normalisesEach() {
    float[][] x = matrix(4, 48);
    float[][] gain = matrix(1, 24);
    Tensor heads = tensor(x);
    backend.headNorm(heads, backend.gain(stored("g", DType.F32, gain)), 1e-5f);
    float[][] actual = read(heads);
    for (int r = 0; r < 4; r++) {
      for (int at = 0; at < 48; at += 24) {
        assertThat(Arrays.copyOfRange(actual[r], at, at + 24))
            .usingComparatorWithPrecision(1e-5f)
            .containsExactly(norm(Arrays.copyOfRange(x[r], at, at + 24), gain[0]));
      }
    }
  }

  private static float[] norm(float[] x, float[] gain) {
    double mean = IntStream.range(0, x.length).mapToDouble(i -> (double) x[i] * x[i]).sum();
    float[] y = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = (float) (x[i] / Math.sqrt(mean / x.length + 1e-5f) * gain[i]);
    }
    return y;
  }

  @Test
  void gateAndAdd_manyRows_matchOracle() {
    float[][] x = matrix(70, 2 * 37);
    Tensor in = tensor(x);
    Tensor out = backend.tensor(70, 37);
    backend.gate(out, in);
    float[][] gated = read(out);
    backend.add(out, in.columns(37, 37));
    float[][] added = read(out);
    for (int r = 0; r < 70; r++) {
      for (int i = 0; i < 37; i++) {
        double expected = x[r][i] / (1 + Math.exp(-x[r][i])) * x[r][37 + i];
        assertThat((double) gated[r][i]).isCloseTo(expected, within(tolerance()));
        assertThat(added[r][i]).isEqualTo(gated[r][i] + x[r][37 + i]);
      }
    }
  }

  @Test
  void rope_farPositions_matchOracle() {
    double[] frequencies = {1, 0.1, 0.003};
    float[][] x = matrix(5, 12);
    AttentionBatch batch = new AttentionBatch(5, 2);
    batch.add(i -> 0, 100_000, 3, new int[0]);
    batch.add(i -> 0, 0, 2, new int[0]);
    Tensor heads = tensor(x);
    backend.rope(heads, backend.ropeTable(frequencies, 1.5), batch);
    float[][] actual = read(heads);
    for (int r = 0; r < 5; r++) {
      for (int at = 0; at < 12; at += 6) {
        for (int i = 0; i < 3; i++) {
          double angle = batch.position(r) * frequencies[i];
          double a = x[r][at + i];
          double b = x[r][at + i + 3];
          double first = 1.5 * (a * Math.cos(angle) - b * Math.sin(angle));
          double second = 1.5 * (b * Math.cos(angle) + a * Math.sin(angle));
          assertThat((double) actual[r][at + i]).isCloseTo(first, within(1e-5));
          assertThat((double) actual[r][at + i + 3]).isCloseTo(second, within(1e-5));
        }
      }
    }
  }

  @Test
  void embedAndGather_rows_areExact() {
    float[][] table = rounded(matrix(40, 10), DType.BF16);
    Matrix weight = backend.matrix(List.of(stored("t", DType.BF16, table)), noBias());
    AttentionBatch batch = batchOf(new int[] {39, 0, 7, 31, 32}, 0, new int[0]);
    Tensor out = backend.tensor(5, 10);
    backend.embed(out, weight, batch);
    assertThat(read(out))
        .isEqualTo(new float[][] {table[39], table[0], table[7], table[31], table[32]});
    Tensor some = backend.tensor(2, 10);
    backend.gather(some, out, new int[] {9, 4, 2}, 1);
    assertThat(read(some)).isEqualTo(new float[][] {table[32], table[7]});
  }

  @ParameterizedTest
  @CsvSource({
    "2,2,8,0,16",
    "6,2,32,0,16",
    "4,1,6,0,32",
    "8,2,64,10,16",
    "7,1,16,33,16",
    "3,3,40,1,16"
  })
  void attend_raggedBatch_matchesOracle(
      int heads, int kvHeads, int headDim, int window, int blockTokens) {
    int[] lengths = {1, 37, 70, 16};
    AttentionCase c = new AttentionCase(heads, kvHeads, headDim, window, blockTokens, lengths);
    float[][] whole = c.run(100, 1);
    for (int r = 0; r < whole.length; r++) {
      assertThat(whole[r])
          .usingComparatorWithPrecision((float) tolerance())
          .containsExactly(c.expected(r));
    }
    assertThat(c.run(7, 2)).as("chunks of 7, other blocks").isEqualTo(whole);
    assertThat(c.run(1, 3)).as("token by token").isEqualTo(whole);
  }

  @Test
  void attend_garbageInUnusedCache_isNotSeen() {
    int[] lengths = {21};
    AttentionCase c = new AttentionCase(4, 2, 16, 0, 16, lengths);
    float[][] clean = c.run(100, 1);
    c.poison = true;
    assertThat(c.run(100, 1)).isEqualTo(clean);
  }

  @Test
  void calls_disagreeingShapes_throw() {
    Tensor wide = backend.tensor(2, 8);
    Tensor narrow = backend.tensor(2, 6);
    assertThatThrownBy(() -> backend.add(wide, narrow)).isInstanceOf(IllegalStateException.class);
    narrow.select(0, 1);
    assertThatThrownBy(() -> backend.gate(narrow, wide)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> wide.select(1, 2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> wide.columns(4, 5)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  /** Random queries, keys and values of some sequences, and their attention in float64. */
  private final class AttentionCase {
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    private final int window;
    private final int blockTokens;
    private final int[] lengths;
    private final float[][] q;
    private final float[][] k;
    private final float[][] v;
    private boolean poison;

    AttentionCase(int heads, int kvHeads, int headDim, int window, int blockTokens, int[] lengths) {
      this.heads = heads;
      this.kvHeads = kvHeads;
      this.headDim = headDim;
      this.window = window;
      this.blockTokens = blockTokens;
      this.lengths = lengths;
      int tokens = IntStream.of(lengths).sum();
      q = matrix(tokens, heads * headDim);
      k = matrix(tokens, kvHeads * headDim);
      v = matrix(tokens, kvHeads * headDim);
    }

    /** Stores and attends in steps of at most {@code chunk} tokens a sequence. */
    float[][] run(int chunk, long blockSeed) {
      KvStorage storage = backend.kvStorage(new KvShape(2, kvHeads, headDim, blockTokens, 40));
      List<Integer> blocks = new java.util.ArrayList<>(IntStream.range(0, 40).boxed().toList());
      java.util.Collections.shuffle(blocks, new Random(blockSeed));
      if (poison) {
        poison(storage);
      }
      float[][] out = new float[q.length][];
      for (int from = 0; from < IntStream.of(lengths).max().orElse(0); from += chunk) {
        step(storage, blocks, from, chunk, out);
      }
      storage.close();
      return out;
    }

    private void step(KvStorage storage, List<Integer> blocks, int from, int chunk, float[][] out) {
      AttentionBatch batch = new AttentionBatch(200, 8);
      List<Integer> rows = new java.util.ArrayList<>();
      int first = 0;
      for (int s = 0; s < lengths.length; s++) {
        int count = Math.min(chunk, lengths[s] - from);
        int base = s * 8;
        if (count > 0) {
          int[] table = IntStream.range(0, 8).map(i -> blocks.get(base + i)).toArray();
          batch.add(i -> 0, from, count, table);
          for (int i = 0; i < count; i++) {
            rows.add(first + from + i);
          }
        }
        first += lengths[s];
      }
      Tensor queries = tensor(pick(q, rows));
      Tensor result = backend.tensor(rows.size(), heads * headDim);
      backend.storeKv(storage, 1, tensor(pick(k, rows)), tensor(pick(v, rows)), batch);
      float scale = (float) (1 / Math.sqrt(headDim));
      backend.attend(result, queries, storage, new Attention(1, scale, window), batch);
      float[][] values = read(result);
      for (int i = 0; i < values.length; i++) {
        out[rows.get(i)] = values[i];
      }
    }

    /** Fills every block with what must never be multiplied. */
    private void poison(KvStorage storage) {
      float[][] bad = new float[40 * blockTokens][kvHeads * headDim];
      for (float[] row : bad) {
        Arrays.fill(row, Float.NaN);
      }
      AttentionBatch all = new AttentionBatch(bad.length, 1);
      all.add(i -> 0, 0, bad.length, IntStream.range(0, 40).toArray());
      backend.storeKv(storage, 1, tensor(bad), tensor(bad), all);
    }

    private float[] expected(int row) {
      int first = 0;
      int s = 0;
      while (row >= first + lengths[s]) {
        first += lengths[s++];
      }
      int begin = window == 0 ? first : Math.max(first, row - window + 1);
      double[] out = new double[heads * headDim];
      for (int h = 0; h < heads; h++) {
        int kv = h / (heads / kvHeads) * headDim;
        double total = 0;
        double[] weight = new double[row + 1];
        for (int t = begin; t <= row; t++) {
          double dot = 0;
          for (int d = 0; d < headDim; d++) {
            dot += (double) q[row][h * headDim + d] * k[t][kv + d];
          }
          weight[t] = Math.exp(dot / Math.sqrt(headDim));
          total += weight[t];
        }
        for (int t = begin; t <= row; t++) {
          for (int d = 0; d < headDim; d++) {
            out[h * headDim + d] += weight[t] / total * v[t][kv + d];
          }
        }
      }
      float[] rounded = new float[out.length];
      for (int i = 0; i < out.length; i++) {
        rounded[i] = (float) out[i];
      }
      return rounded;
    }
  }

  private static float[][] pick(float[][] rows, List<Integer> indices) {
    return indices.stream().map(i -> rows[i]).toArray(float[][]::new);
  }

  private static List<@Nullable StoredTensor> noBias() {
    @Nullable StoredTensor none = null;
    return Arrays.asList(none);
  }

  private static AttentionBatch batchOf(int[] tokens, int position, int[] table) {
    AttentionBatch batch = new AttentionBatch(tokens.length, 1);
    batch.add(i -> tokens[i - position], position, tokens.length, table);
    return batch;
  }

  private Matrix weight(DType type, int rows, int columns) {
    return backend.matrix(List.of(stored("w", type, matrix(rows, columns))), noBias());
  }

  /** A tensor with these rows, looked up from a table that consists of them. */
  private Tensor tensor(float[][] rows) {
    Matrix table = backend.matrix(List.of(stored("x", DType.F32, rows)), noBias());
    Tensor tensor = backend.tensor(rows.length, rows[0].length);
    int[] all = IntStream.range(0, rows.length).toArray();
    backend.embed(tensor, table, batchOf(all, 0, new int[0]));
    return tensor;
  }

  private float[][] read(Tensor tensor) {
    int columns = tensor.columns();
    float[][] identity = new float[columns][columns];
    for (int i = 0; i < columns; i++) {
      identity[i][i] = 1;
    }
    Matrix weight = backend.matrix(List.of(stored("1", DType.F32, identity)), noBias());
    float[] flat = new float[tensor.rows() * columns];
    backend.logits(flat, tensor, weight);
    float[][] rows = new float[tensor.rows()][];
    for (int r = 0; r < rows.length; r++) {
      rows[r] = Arrays.copyOfRange(flat, r * columns, (r + 1) * columns);
    }
    return rows;
  }

  private float[][] matrix(int rows, int columns) {
    float[][] m = new float[rows][columns];
    for (float[] row : m) {
      for (int i = 0; i < columns; i++) {
        row[i] = (float) random.nextGaussian();
      }
    }
    return m;
  }

  private static float[][] rounded(float[][] m, DType type) {
    for (float[] row : m) {
      for (int i = 0; i < row.length; i++) {
        row[i] =
            switch (type) {
              case BF16 -> Float.intBitsToFloat(Float.floatToRawIntBits(row[i]) & 0xffff0000);
              case F16 -> Float.float16ToFloat(Float.floatToFloat16(row[i]));
              default -> row[i];
            };
      }
    }
    return m;
  }

  private StoredTensor stored(String name, DType type, float[][] rows) {
    int columns = rows[0].length;
    MemorySegment data = arena.allocate((long) rows.length * columns * type.bytes(), 8);
    for (int r = 0; r < rows.length; r++) {
      for (int c = 0; c < columns; c++) {
        int i = r * columns + c;
        switch (type) {
          case F32 -> data.setAtIndex(ValueLayout.JAVA_FLOAT, i, rows[r][c]);
          case BF16 ->
              data.setAtIndex(
                  ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(rows[r][c]) >>> 16));
          default -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(rows[r][c]));
        }
      }
    }
    boolean vector = rows.length == 1;
    long[] shape = vector ? new long[] {columns} : new long[] {rows.length, columns};
    return new StoredTensor(name, type, shape, data);
  }
}
