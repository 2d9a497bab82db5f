package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The vector kernels against the scalar ones: equal to the bit, and compiled without boxes. */
class VectorKernelsTest {
  private static final long SEED = Long.getLong("seed", 20_261_123);
  private final Random random = new Random(SEED);
  private final Kernels scalar = new ScalarKernels();
  private final Kernels vector = new VectorKernels();
  private final Arena arena = Arena.ofConfined();

  @BeforeEach
  void printSeed() {
    System.out.println("VectorKernelsTest seed " + SEED);
  }

  @AfterEach
  void free() {
    arena.close();
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 30, 64, 704, 1024, 1026})
  void pairs_randomWeights_giveSameBits(int columns) {
    TileWork a = tile(columns, 9);
    TileWork b = copy(a);
    for (int row = 0; row < 9; row++) {
      scalar.pairsRow(a, row);
      vector.pairsRow(b, row);
    }
    assertThat(sums(b, 9)).isEqualTo(sums(a, 9));
    for (int row = 0; row < 9; row += 4) {
      scalar.pairsRows4(a, row);
      vector.pairsRows4(b, row);
    }
    assertThat(sums(b, 9)).isEqualTo(sums(a, 9));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 30, 64, 704, 1024, 1026})
  void pairsTwoTiles_randomWeights_giveSameBitsAsOneByOne(int columns) {
    TileWork a = tile(columns, 1);
    TileWork b = copy(a);
    TileWork c = copy(a);
    scalar.pairsTwoTiles(a);
    vector.pairsTwoTiles(b);
    vector.pairsRow(c, 0);
    c.offset = columns * 64L;
    c.sumsAt = PackedMatrix.TILE_ROWS;
    vector.pairsRow(c, 0);
    assertThat(sums(b, 2)).isEqualTo(sums(a, 2));
    assertThat(sums(c, 2)).isEqualTo(sums(a, 2));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 30, 64, 254, 256})
  void panel_randomWeights_givesSameBits(int columns) {
    TileWork a = tile(columns, 13);
    a.sumsAt = 64;
    TileWork b = copy(a);
    TileWork c = copy(a);
    scalar.unpack(a, 0, columns);
    vector.unpack(b, 0, columns);
    assertThat(b.panel).isEqualTo(a.panel);
    for (int row = 0; row < 13; row += TileWork.BLOCK) {
      scalar.panelRows12(a, row, 0, columns);
      vector.panelRows12(b, row, 0, columns);
    }
    vector.unpack(c, 0, columns);
    for (int row = 0; row < 13; row += 4) {
      vector.panelRows4(c, row, 0, columns);
    }
    assertThat(sums(b, 15)).isEqualTo(sums(a, 15));
    assertThat(sums(c, 15)).isEqualTo(sums(a, 15));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 6, 16, 32, 40, 64, 80, 96, 128})
  void attention_randomCache_givesSameBits(int headDim) {
    AttendWork a = attend(headDim);
    AttendWork b = copy(a);
    attend(scalar, a);
    attend(vector, b);
    assertThat(b.scores).isEqualTo(a.scores);
    assertThat(b.maxima).isEqualTo(a.maxima);
    assertThat(b.totals).isEqualTo(a.totals);
    assertThat(b.sums).isEqualTo(a.sums);
  }

  private static void attend(Kernels kernels, AttendWork work) {
    for (int column = 0; column < AttendWork.SPAN; column += 16) {
      kernels.scores8(work, 0, 0, column);
    }
    for (int row = 0; row < 5; row++) {
      work.maxima[row] = kernels.weights(work, row, 16 * (row % 4 + 1), 1.5f);
      kernels.total(work, row, 16 * (row % 4 + 1), row == 2 ? 1f : 0.7f);
    }
    kernels.values8(work, 64L * work.headDim, 0, 32, 3, 15);
    kernels.values(work, 64L * work.headDim, 4, 16, 0, 16);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 704})
  void gateAndAdd_randomValues_giveSameBits(int count) {
    float[] in = floats(2 * count + 3, 20);
    float[] a = new float[count + 1];
    float[] b = new float[count + 1];
    scalar.gate(in, 1, count + 2, a, 1, count);
    vector.gate(in, 1, count + 2, b, 1, count);
    scalar.add(in, 1, a, 1, count);
    vector.add(in, 1, b, 1, count);
    assertThat(b).isEqualTo(a);
  }

  @Test
  void exp_wholeRange_isCloseToFloat64() {
    double worst = 0;
    for (float x = Exp.MIN; x <= Exp.MAX; x += 0.0137f) {
      double exact = Math.exp(x);
      worst = Math.max(worst, Math.abs(Exp.exp(x) - exact) / exact);
    }
    assertThat(worst).isLessThan(3e-7);
    assertThat(Exp.exp(0f)).isEqualTo(1f);
    assertThat(Exp.exp(Float.NEGATIVE_INFINITY)).isBetween(0f, 1e-37f);
    assertThat(Exp.exp(Float.NaN)).isNaN();
  }

  /**
   * C2 boxes every vector when a kernel outgrows its inlining budget, which costs a factor of 15
   * and shows as allocation. The loop ends when a call allocates nothing; it never does when boxed.
   */
  @Test
  void kernels_onceCompiled_allocateNothing() {
    TileWork tile = tile(256, 8);
    AttendWork attend = attend(64);
    float[] gate = floats(3 * 256, 1);
    assertThat(becomesFree(() -> vector.pairsRow(tile, 0))).as("pairsRow").isTrue();
    assertThat(becomesFree(() -> vector.pairsTwoTiles(tile))).as("pairsTwoTiles").isTrue();
    assertThat(becomesFree(() -> vector.pairsRows4(tile, 0))).as("pairsRows4").isTrue();
    assertThat(becomesFree(() -> vector.unpack(tile, 0, 256))).as("unpack").isTrue();
    assertThat(becomesFree(() -> vector.panelRows12(tile, 0, 0, 256))).as("panelRows12").isTrue();
    assertThat(becomesFree(() -> vector.panelRows4(tile, 0, 0, 256))).as("panelRows4").isTrue();
    assertThat(becomesFree(() -> vector.scores8(attend, 0, 0, 0))).as("scores8").isTrue();
    assertThat(becomesFree(() -> vector.weights(attend, 0, 64, 1f))).as("weights").isTrue();
    assertThat(becomesFree(() -> vector.total(attend, 0, 64, 0.5f))).as("total").isTrue();
    assertThat(becomesFree(() -> vector.values(attend, 0, 0, 0, 0, 16))).as("values").isTrue();
    assertThat(becomesFree(() -> vector.values8(attend, 0, 0, 0, 0, 16))).as("values8").isTrue();
    assertThat(becomesFree(() -> vector.add(gate, 0, gate, 256, 256))).as("add").isTrue();
    assertThat(becomesFree(() -> vector.gate(gate, 0, 256, gate, 512, 256))).as("gate").isTrue();
  }

  /**
   * The same cut-off seen from the clock: a boxed kernel takes fifteen times as long. The bound is
   * a fraction of what a quiet machine shows (2 to 22 times the plain loop at 512 bits), and the
   * best of many short rounds counts, taken by turns, since what else runs can only lengthen a
   * round.
   */
  @Test
  void kernels_onceCompiled_areFasterThanPlainLoops() {
    TileWork tile = tile(256, TileWork.BLOCK);
    AttendWork attend = attend(64);
    float[] gate = floats(3 * 256, 1);
    Map<String, Consumer<Kernels>> calls = new LinkedHashMap<>();
    calls.put("pairsRow", kernels -> kernels.pairsRow(tile, 0));
    calls.put("pairsTwoTiles", kernels -> kernels.pairsTwoTiles(tile));
    calls.put("pairsRows4", kernels -> kernels.pairsRows4(tile, 0));
    calls.put("panelRows12", kernels -> kernels.panelRows12(tile, 0, 0, 256));
    calls.put("panelRows4", kernels -> kernels.panelRows4(tile, 0, 0, 256));
    calls.put("scores8", kernels -> kernels.scores8(attend, 0, 0, 0));
    calls.put("weights", kernels -> kernels.weights(attend, 0, 64, 1f));
    calls.put("values", kernels -> kernels.values(attend, 0, 0, 0, 0, 16));
    calls.put("values8", kernels -> kernels.values8(attend, 0, 0, 0, 0, 16));
    calls.put("gate", kernels -> kernels.gate(gate, 0, 256, gate, 512, 256));
    double least = VectorKernels.F.length() / 16.0;
    calls.forEach(
        (name, call) -> {
          double times = timesFaster(() -> call.accept(vector), () -> call.accept(scalar), least);
          System.out.printf("VectorKernelsTest: %s %.1f times the plain loop%n", name, times);
          assertThat(times).as(name).isGreaterThan(least);
        });
  }

  /**
   * Best time of one by the other's; goes on, within reason, until it is above the bound: on a busy
   * machine the compiler may be late.
   */
  private static double timesFaster(Runnable fast, Runnable slow, double least) {
    long bestFast = Long.MAX_VALUE;
    long bestSlow = Long.MAX_VALUE;
    long deadline = System.nanoTime() + 20_000_000_000L;
    for (int round = 0; round < 3000 || System.nanoTime() < deadline; round++) {
      bestFast = Math.min(bestFast, nanos(fast));
      bestSlow = Math.min(bestSlow, nanos(slow));
      if (round > 300 && bestSlow > 1.5 * least * bestFast) {
        break;
      }
    }
    return (double) bestSlow / bestFast;
  }

  private static long nanos(Runnable kernel) {
    long start = System.nanoTime();
    for (int i = 0; i < 16; i++) {
      kernel.run();
    }
    return System.nanoTime() - start;
  }

  private static boolean becomesFree(Runnable kernel) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    for (int i = 0; i < 100_000; i++) {
      long before = threads.getCurrentThreadAllocatedBytes();
      kernel.run();
      long empty = threads.getCurrentThreadAllocatedBytes();
      if (empty - before == 0) {
        return true;
      }
    }
    return false;
  }

  private TileWork tile(int columns, int rows) {
    TileWork work = new TileWork();
    work.weights = arena.allocate(columns * 128L, 64); // two tiles
    for (long at = 0; at < work.weights.byteSize(); at += 2) {
      float value = (float) random.nextGaussian();
      work.weights.set(ValueLayout.JAVA_SHORT, at, (short) (Float.floatToRawIntBits(value) >>> 16));
    }
    work.columns = columns;
    work.rows = rows;
    work.inStart = 5;
    work.inStride = columns + 3;
    work.in = floats(5 + rows * (columns + 3), 1);
    work.blockRows = rows + TileWork.BLOCK;
    work.blocks = floats((rows + TileWork.BLOCK) * columns, 1);
    System.arraycopy(floats(work.sums.length, 1), 0, work.sums, 0, work.sums.length);
    return work;
  }

  private static TileWork copy(TileWork from) {
    TileWork work = new TileWork();
    work.weights = from.weights;
    work.columns = from.columns;
    work.rows = from.rows;
    work.inStart = from.inStart;
    work.inStride = from.inStride;
    work.in = from.in;
    work.blocks = from.blocks;
    work.blockRows = from.blockRows;
    work.sumsAt = from.sumsAt;
    System.arraycopy(from.sums, 0, work.sums, 0, from.sums.length);
    return work;
  }

  private static float[] sums(TileWork work, int rows) {
    return java.util.Arrays.copyOf(work.sums, rows * PackedMatrix.TILE_ROWS);
  }

  private AttendWork attend(int headDim) {
    AttendWork work = new AttendWork(8, headDim);
    work.storage = arena.allocate(headDim * 128L, 64);
    for (long at = 0; at < work.storage.byteSize(); at += 4) {
      work.storage.set(ValueLayout.JAVA_FLOAT, at, (float) random.nextGaussian());
    }
    System.arraycopy(floats(work.queries.length, 1), 0, work.queries, 0, work.queries.length);
    System.arraycopy(floats(work.sums.length, 1), 0, work.sums, 0, work.sums.length);
    return work;
  }

  private static AttendWork copy(AttendWork from) {
    AttendWork work = new AttendWork(8, from.headDim);
    work.storage = from.storage;
    System.arraycopy(from.queries, 0, work.queries, 0, from.queries.length);
    System.arraycopy(from.sums, 0, work.sums, 0, from.sums.length);
    return work;
  }

  private float[] floats(int count, float scale) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian() * scale;
    }
    return values;
  }
}
