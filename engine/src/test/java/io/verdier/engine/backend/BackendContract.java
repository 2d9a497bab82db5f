package io.verdier.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.Gain;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.backend.Backend.Projection;
import io.verdier.engine.backend.Backend.Rotation;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every backend must do, each operation against plain loops in float64.
 *
 * <p>Rows are put into a tensor by {@code embed} from a table of weights, and read from an operand
 * by {@code matmul} with the identity matrix; both are exact. All inputs are bfloat16 numbers, so
 * that a backend that multiplies in bfloat16 has nothing to round.
 *
 * <p>Tolerance: inputs are of order 1, sums have up to some hundred terms, so float32 with one
 * rounding a term is off by about {@code sqrt(100) · 6e-8}, below 1e-5 relative to the largest term
 * sums of 30. What an operand holds is off by {@link #operandStep} besides.
 */
public abstract class BackendContract extends BlockCopyContract {
  private static final double AMPLITUDE = 1.25; // of the rotation, as YaRN has it
  private static final int STEPS_EACH = 24; // that are taken one by one

  protected BackendContract(Backend backend) {
    super(backend);
  }

  /** Relative step between the numbers that an operand can hold; results are of order 1. */
  @Override
  protected double operandStep() {
    return 0;
  }

  /** Absolute tolerance of attention: what keys, values and probabilities are rounded to. */
  protected double attentionTolerance() {
    return 1e-4;
  }

  @ParameterizedTest
  @CsvSource({
    "1,32,64,BF16", "1,33,30,F32", "2,40,64,BF16", "3,7,66,BF16", "5,100,48,BF16",
    "16,65,128,BF16", "17,31,34,F16", "30,96,2050,BF16", "300,40,64,BF16", "13,64,1500,F32"
  })
  void matmul_anyShape_matchesOracle(int rows, int outputs, int inputs, DType type) {
    float[][] x = matrix(rows, inputs);
    float[][] w = matrix(outputs, inputs);
    float[][] bias = matrix(1, outputs);
    float[][] before = matrix(rows, outputs);
    Matrix weight =
        backend.matrix(List.of(stored("w", type, w)), List.of(stored("b", DType.F32, bias)));
    Tensor out = backend.tensor(rows, outputs);
    backend.matmul(out, operand(x), weight);
    float[][] actual = read(out);
    Tensor sum = tensor(before);
    backend.matmulAdd(sum, operand(x), weight);
    float[][] added = read(sum);
    float[] logits = new float[rows * outputs];
    backend.logits(logits, operand(x), weight);
    for (int r = 0; r < rows; r++) {
      for (int o = 0; o < outputs; o++) {
        double exact = bias[0][o];
        for (int i = 0; i < inputs; i++) {
          exact += (double) x[r][i] * w[o][i];
        }
        assertThat((double) actual[r][o]).isCloseTo(exact, within(1e-4 * Math.sqrt(inputs)));
        assertThat(added[r][o]).isEqualTo(before[r][o] + actual[r][o]);
        assertThat(logits[r * outputs + o]).isEqualTo(actual[r][o]);
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
    Operand in = operand(matrix(3, 16));
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
      backend.matmul(out, operand(x), weight);
      float[][] batched = read(out);
      int row = random.nextInt(rows);
      Tensor alone = backend.tensor(1, 45);
      backend.matmul(alone, operand(new float[][] {x[row]}), weight);
      assertThat(read(alone)[0]).isEqualTo(batched[row]);
    }
  }

  @ParameterizedTest
  @CsvSource({"1,64", "3,50", "40,17", "200,256"})
  void rmsNorm_anyShape_matchesOracle(int rows, int columns) {
    float[][] x = matrix(rows, columns);
    float[][] gain = matrix(1, columns);
    Operand out = backend.operand(rows, columns);
    backend.rmsNorm(out, tensor(x), backend.gain(stored("g", DType.F32, gain)), 1e-5f);
    float[][] actual = read(out);
    for (int r = 0; r < rows; r++) {
      assertThat(actual[r])
          .usingComparatorWithPrecision((float) Math.max(1e-5, 8 * operandStep()))
          .containsExactly(norm(x[r], gain[0]));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 16, 70, 300})
  void rmsNorm_batchOfAnySize_givesSameBits(int rows) {
    float[][] x = matrix(rows, 200);
    Gain gain = backend.gain(stored("g", DType.F32, matrix(1, 200)));
    Operand batched = backend.operand(rows, 200);
    backend.rmsNorm(batched, tensor(x), gain, 1e-5f);
    int row = random.nextInt(rows);
    Operand alone = backend.operand(1, 200);
    backend.rmsNorm(alone, tensor(new float[][] {x[row]}), gain, 1e-5f);
    assertThat(read(alone)[0]).isEqualTo(read(batched)[row]);
  }

  private static float[] norm(float[] x, float[] gain) {
    double mean = IntStream.range(0, x.length).mapToDouble(i -> (double) x[i] * x[i]).sum();
    float[] y = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = (float) (x[i] / Math.sqrt(mean / x.length + 1e-5f) * gain[i]);
    }
    return y;
  }

  @ParameterizedTest
  @CsvSource({"1,24", "9,37", "70,64"})
  void matmulGate_anyShape_matchesOracle(int rows, int columns) {
    float[][] x = matrix(rows, 40);
    float[][] gate = matrix(columns, 40);
    float[][] up = matrix(columns, 40);
    Matrix weight =
        backend.gateUpMatrix(
            List.of(stored("gate", DType.BF16, gate), stored("up", DType.BF16, up)),
            Arrays.asList(null, null));
    Operand out = backend.operand(rows, columns);
    backend.matmulGate(out, operand(x), weight);
    float[][] gated = read(out);
    for (int r = 0; r < rows; r++) {
      for (int i = 0; i < columns; i++) {
        double g = dot(x[r], gate[i]);
        double expected = g / (1 + Math.exp(-g)) * dot(x[r], up[i]);
        double tolerance = 1e-3 + operandStep() * Math.abs(expected);
        assertThat((double) gated[r][i]).isCloseTo(expected, within(tolerance));
      }
    }
  }

  private static double dot(float[] a, float[] b) {
    return IntStream.range(0, a.length).mapToDouble(i -> (double) a[i] * b[i]).sum();
  }

  @Test
  void embedAndGather_rows_areExact() {
    float[][] table = matrix(40, 10);
    Matrix weight = backend.matrix(List.of(stored("t", DType.BF16, table)), noBias());
    AttentionBatch batch = batchOf(new int[] {39, 0, 7, 31, 32}, 0, new int[0]);
    Tensor out = backend.tensor(5, 10);
    backend.embed(out, weight, batch);
    assertThat(read(out))
        .isEqualTo(new float[][] {table[39], table[0], table[7], table[31], table[32]});
    Tensor some = backend.tensor(2, 10);
    backend.gather(some, out, new int[] {9, 4, 2}, 1);
    assertThat(read(some)).isEqualTo(new float[][] {table[32], table[7]});
    out.select(1, 3);
    float[] host = new float[30];
    backend.read(host, out);
    for (int i = 0; i < host.length; i++) {
      assertThat(host[i]).isEqualTo(table[new int[] {0, 7, 31}[i / 10]][i % 10]);
    }
    out.select(0, 0);
    backend.read(new float[0], out);
    backend.write(out, new float[0]);
    host[7] = Float.intBitsToFloat(0x7fc00123); // whatever its bits are, they stay
    out.select(2, 2);
    backend.write(out, Arrays.copyOfRange(host, 0, 25));
    float[] back = new float[20];
    backend.read(back, out);
    assertThat(Float.floatToRawIntBits(back[7])).isEqualTo(0x7fc00123);
    assertThat(Arrays.copyOfRange(back, 8, 20)).isEqualTo(Arrays.copyOfRange(host, 8, 20));
    out.select(1, 1);
    backend.read(back, out);
    assertThat(Arrays.copyOf(back, 10)).isEqualTo(table[0]);
  }

  @ParameterizedTest
  @CsvSource({
    "2,2,8,0,16",
    "6,2,32,0,16",
    "4,1,6,0,32",
    "8,2,64,10,16",
    "7,1,16,33,16",
    "3,3,40,1,16",
    "4,2,128,0,16"
  })
  void attend_raggedBatch_matchesOracle(
      int heads, int kvHeads, int headDim, int window, int blockTokens) {
    int[] lengths = {1, 37, 70, 16};
    AttentionCase c = new AttentionCase(heads, kvHeads, headDim, window, blockTokens, lengths);
    float[][] whole = c.run(100, 1);
    for (int r = 0; r < whole.length; r++) {
      assertThat(whole[r])
          .usingComparatorWithPrecision((float) attentionTolerance())
          .containsExactly(c.expected(r));
    }
    assertThat(c.run(7, 2)).as("chunks of 7, other blocks").isEqualTo(whole);
    assertThat(c.run(1, 3)).as("token by token").isEqualTo(whole);
  }

  /**
   * Longer than whatever a backend takes at once; blocks of rows and of tokens end in the middle.
   */
  @ParameterizedTest
  @CsvSource({"8,2,64,0,32", "5,1,80,0,16", "16,1,96,150,48", "3,3,64,5,16"})
  void attend_longSequence_matchesOracle(
      int heads, int kvHeads, int headDim, int window, int blockTokens) {
    int[] lengths = {281, 139};
    AttentionCase c = new AttentionCase(heads, kvHeads, headDim, window, blockTokens, lengths);
    float[][] whole = c.run(100, 1);
    for (int r = 0; r < whole.length; r += 7) { // the oracle takes its time
      assertThat(whole[r])
          .usingComparatorWithPrecision((float) attentionTolerance())
          .containsExactly(c.expected(r));
    }
    assertThat(c.run(67, 2)).as("chunks of 67, other blocks").isEqualTo(whole);
    c.wholeUpTo = 116; // step by step to the end of the shorter one, and then of the longer
    assertThat(c.run(3, 3)).as("three tokens at a time").isEqualTo(whole);
    assertThat(c.run(1, 4)).as("token by token").isEqualTo(whole);
    c.wholeUpTo = 257;
    assertThat(c.run(1, 5)).as("token by token, far out").isEqualTo(whole);
    c.wholeUpTo = 0;
    c.poison = true;
    assertThat(c.run(100, 1)).as("garbage in unused blocks").isEqualTo(whole);
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
    Matrix square = weight(DType.BF16, 8, 8);
    assertThatThrownBy(() -> backend.matmul(wide, backend.operand(2, 6), square))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> backend.matmulAdd(narrow, backend.operand(2, 8), square))
        .isInstanceOf(IllegalStateException.class);
    narrow.select(0, 1);
    assertThatThrownBy(() -> backend.convert(backend.operand(2, 6), narrow))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> wide.select(1, 2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> wide.columns(4, 5)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void attend_farPositions_matchesOracle() {
    AttentionCase c = new AttentionCase(4, 2, 16, 3, 16, new int[] {40});
    c.shift = 100_000;
    float[][] whole = c.run(100, 1);
    for (int r = 2; r < whole.length; r++) { // the first ones see keys that were never stored
      assertThat(whole[r])
          .usingComparatorWithPrecision((float) attentionTolerance())
          .containsExactly(c.expected(r));
    }
  }

  @Test
  void attend_headNorms_matchesOracle() {
    AttentionCase c = new AttentionCase(4, 2, 32, 0, 16, new int[] {5, 20});
    c.normed = true;
    float[][] whole = c.run(100, 1);
    for (int r = 0; r < whole.length; r++) {
      assertThat(whole[r])
          .usingComparatorWithPrecision((float) attentionTolerance())
          .containsExactly(c.expected(r));
    }
    assertThat(c.run(3, 2)).isEqualTo(whole);
  }

  /** Positions at the first and the last place of a chunk, contexts that are shared out. */
  @Test
  void rotateStoreAttend_tokenByToken_equalsTheTwoCalls() {
    AttentionCase far = new AttentionCase(4, 2, 16, 0, 16, new int[] {261, 5});
    far.wholeUpTo = 237;
    AttentionCase near = new AttentionCase(4, 2, 16, 0, 16, new int[] {19, 5});
    AttentionCase windowed = new AttentionCase(6, 2, 40, 70, 32, new int[] {140, 64});
    windowed.wholeUpTo = 117;
    AttentionCase normed = new AttentionCase(8, 1, 128, 0, 16, new int[] {67});
    normed.normed = true;
    normed.wholeUpTo = 44;
    for (AttentionCase c : List.of(far, near, windowed, normed)) {
      float[][] whole = c.run(70, 1);
      c.poison = true;
      c.atOnce = true;
      assertThat(c.run(1, 2)).isEqualTo(whole);
      assertThat(c.run(70, 3)).isEqualTo(whole);
    }
  }

  /** Random queries, keys and values of some sequences, and their attention in float64. */
  private final class AttentionCase {
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    private final int window;
    private final int blockTokens;
    private final int[] lengths;
    private final int blocksEach; // of a sequence
    private final int blocksAll;
    private final float[][] q;
    private final float[][] k;
    private final float[][] v;
    private final double[] frequencies;
    private final float[] queryGain;
    private final float[] keyGain;
    private boolean poison;
    private boolean normed;
    private boolean atOnce; // rotation, storing, attention
    private int wholeUpTo; // so many tokens at once, whatever the chunk
    private int shift; // position of each sequence's first token
    private @Nullable Rotation rotation;

    AttentionCase(int heads, int kvHeads, int headDim, int window, int blockTokens, int[] lengths) {
      this.heads = heads;
      this.kvHeads = kvHeads;
      this.headDim = headDim;
      this.window = window;
      this.blockTokens = blockTokens;
      this.lengths = lengths;
      int longest = IntStream.of(lengths).max().orElse(0);
      blocksEach = Math.max(8, (longest + blockTokens - 1) / blockTokens);
      blocksAll = lengths.length * blocksEach + 8;
      int tokens = IntStream.of(lengths).sum();
      q = matrix(tokens, heads * headDim);
      k = matrix(tokens, kvHeads * headDim);
      v = matrix(tokens, kvHeads * headDim);
      frequencies = new double[headDim / 2];
      Arrays.setAll(frequencies, i -> Math.pow(0.1, i));
      queryGain = matrix(1, headDim)[0];
      keyGain = matrix(1, headDim)[0];
    }

    /** Made once: a table of angles is long. */
    private Rotation rotation() {
      if (rotation == null) {
        rotation =
            new Rotation(
                backend.ropeTable(frequencies, AMPLITUDE),
                normed ? backend.gain(stored("q", DType.F32, new float[][] {queryGain})) : null,
                normed ? backend.gain(stored("k", DType.F32, new float[][] {keyGain})) : null,
                1e-5f);
      }
      return rotation;
    }

    /**
     * Stores and attends in steps of at most {@code chunk} tokens a sequence; emulated devices take
     * long for single tokens, so only some behind {@link #wholeUpTo} are taken that way.
     */
    float[][] run(int chunk, long blockSeed) {
      KvStorage storage =
          backend.kvStorage(new KvShape(2, kvHeads, heads, headDim, blockTokens, blocksAll));
      List<Integer> blocks =
          new java.util.ArrayList<>(IntStream.range(0, blocksAll).boxed().toList());
      java.util.Collections.shuffle(blocks, new Random(blockSeed));
      if (poison) {
        poison(storage);
      }
      float[][] out = new float[q.length][];
      int longest = IntStream.of(lengths).max().orElse(0);
      for (int from = 0; from < longest; ) {
        boolean isSmall = from >= wholeUpTo && from < wholeUpTo + STEPS_EACH;
        int count = isSmall || wholeUpTo == 0 ? chunk : next(from);
        step(storage, blocks, from, count, out);
        from += count;
      }
      storage.close();
      return out;
    }

    /** Tokens that go whole, up to where smaller steps begin. */
    private int next(int from) {
      return from < wholeUpTo ? Math.min(100, wholeUpTo - from) : 100;
    }

    private void step(KvStorage storage, List<Integer> blocks, int from, int chunk, float[][] out) {
      AttentionBatch batch = new AttentionBatch(200, 8);
      List<Integer> rows = new java.util.ArrayList<>();
      int first = 0;
      for (int s = 0; s < lengths.length; s++) {
        int count = Math.min(chunk, lengths[s] - from);
        int base = s * blocksEach;
        if (count > 0) {
          int far = shift / blockTokens;
          int[] table =
              IntStream.range(0, far + blocksEach)
                  .map(i -> blocks.get(base + i % blocksEach))
                  .toArray();
          batch.add(i -> 0, shift + from, count, table);
          for (int i = 0; i < count; i++) {
            rows.add(first + from + i);
          }
        }
        first += lengths[s];
      }
      Projection projection = projection(pick(q, rows), pick(k, rows), pick(v, rows));
      Operand result = backend.operand(rows.size(), heads * headDim);
      float scale = (float) (1 / Math.sqrt(headDim));
      Attention attention = new Attention(1, scale, window);
      if (atOnce) {
        backend.rotateStoreAttend(result, projection, rotation(), storage, attention, batch);
      } else {
        backend.rotateAndStore(projection, rotation(), storage, 1, batch);
        backend.attend(result, projection, storage, attention, batch);
      }
      float[][] values = read(result);
      for (int i = 0; i < values.length; i++) {
        out[rows.get(i)] = values[i];
      }
    }

    /** Fills every block with what must never be multiplied. */
    private void poison(KvStorage storage) {
      float[][] bad = new float[blocksAll * blockTokens][kvHeads * headDim];
      for (float[] row : bad) {
        Arrays.fill(row, Float.NaN);
      }
      AttentionBatch all = new AttentionBatch(bad.length, 1);
      all.add(i -> 0, 0, bad.length, IntStream.range(0, blocksAll).toArray());
      float[][] none = new float[bad.length][heads * headDim];
      Projection projection = projection(none, bad, bad);
      backend.rotateAndStore(projection, rotation(), storage, 1, all);
    }

    private float[] expected(int row) {
      AttentionOracle oracle =
          new AttentionOracle(
              new AttentionOracle.Heads(heads, kvHeads, headDim),
              new AttentionOracle.Rotations(frequencies, AMPLITUDE, shift),
              normed ? new AttentionOracle.Gains(queryGain, keyGain) : null,
              window);
      return oracle.row(q, k, v, lengths, row);
    }
  }

  private Projection projection(float[][] queries, float[][] keys, float[][] values) {
    float[][] all = new float[queries.length][];
    for (int r = 0; r < all.length; r++) {
      int width = keys[r].length;
      all[r] = Arrays.copyOf(queries[r], queries[r].length + 2 * width);
      System.arraycopy(keys[r], 0, all[r], queries[r].length, width);
      System.arraycopy(values[r], 0, all[r], queries[r].length + width, width);
    }
    return Projection.of(tensor(all), keys[0].length);
  }

  private static float[][] pick(float[][] rows, List<Integer> indices) {
    return indices.stream().map(i -> rows[i]).toArray(float[][]::new);
  }
}
