package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The kernels in plain loops over arrays. Stateless. Memory segments are copied to arrays in bulk
 * first: their single accesses take microseconds in the interpreter.
 */
final class ScalarKernels implements Kernels {
  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final int GROUP = AttendWork.GROUP;
  private static final int SPAN = AttendWork.SPAN;
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.nativeOrder());
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT.withOrder(ByteOrder.nativeOrder());

  @Override
  public void pairsRow(TileWork work, int row) {
    for (int from = 0; from < work.columns; from += TileWork.PANEL_COLUMNS) {
      int count = Math.min(TileWork.PANEL_COLUMNS, work.columns - from);
      load(work, from, count);
      for (int lane = 0; lane < LANES; lane += 8) {
        int sum = work.sumsAt + row * LANES + lane;
        pairs8(work.words, lane, work.in, work.inRow(row) + from, count, work.sums, sum);
      }
    }
  }

  @Override
  public void pairsTwoTiles(TileWork work) {
    long offset = work.offset;
    int sumsAt = work.sumsAt;
    pairsRow(work, 0);
    work.offset += 2L * work.columns * LANES;
    work.sumsAt += LANES;
    pairsRow(work, 0);
    work.offset = offset;
    work.sumsAt = sumsAt;
  }

  @Override
  public void pairsRows4(TileWork work, int row) {
    for (int from = 0; from < work.columns; from += TileWork.PANEL_COLUMNS) {
      int count = Math.min(TileWork.PANEL_COLUMNS, work.columns - from);
      unpack(work, from, count);
      for (int r = row; r < Math.min(row + 4, work.rows); r++) {
        panel(work, r, work.in, work.inRow(r) + from, 1, count);
      }
    }
  }

  @Override
  public void unpack(TileWork work, int from, int count) {
    load(work, from, count);
    for (int i = 0; i < count / 2; i++) {
      unpackPair(work.words, i * LANES, work.panel, i * 2 * LANES);
    }
  }

  private static void load(TileWork work, int from, int count) {
    long at = work.offset + (long) from * LANES * 2;
    MemorySegment.copy(work.weights, WORD, at, work.words, 0, count / 2 * LANES);
  }

  private static void unpackPair(int[] words, int at, float[] panel, int to) {
    for (int lane = 0; lane < LANES; lane++) {
      int word = words[at + lane];
      panel[to + lane] = Float.intBitsToFloat(word << 16);
      panel[to + LANES + lane] = Float.intBitsToFloat(word & 0xffff0000);
    }
  }

  @Override
  public void panelRows12(TileWork work, int row, int from, int count) {
    for (int r = row; r < Math.min(row + TileWork.BLOCK, work.rows); r++) {
      panel(work, r, work.blocks, work.blockAt(r, from, count), TileWork.BLOCK, count);
    }
  }

  @Override
  public void panelRows4(TileWork work, int row, int from, int count) {
    for (int r = row; r < Math.min(row + 4, work.rows); r++) {
      panel(work, r, work.blocks, work.blockAt(r, from, count), TileWork.BLOCK, count);
    }
  }

  /** One row, whose activations are {@code step} apart from {@code x} on. */
  private static void panel(TileWork work, int row, float[] in, int x, int step, int count) {
    for (int lane = 0; lane < LANES; lane += 8) {
      int sum = work.sumsAt + row * LANES + lane;
      panel8(work.panel, lane, in, x, step, count, work.sums, sum);
    }
  }

  /** Eight lanes at a time, their sums in registers; C2 does not vectorize this by itself. */
  private static void panel8(
      float[] panel, int lane, float[] in, int x, int step, int count, float[] sums, int s) {
    float s0 = sums[s];
    float s1 = sums[s + 1];
    float s2 = sums[s + 2];
    float s3 = sums[s + 3];
    float s4 = sums[s + 4];
    float s5 = sums[s + 5];
    float s6 = sums[s + 6];
    float s7 = sums[s + 7];
    for (int k = 0, p = lane; k < count; k++, p += LANES) {
      float a = in[x + k * step];
      s0 = Math.fma(panel[p], a, s0);
      s1 = Math.fma(panel[p + 1], a, s1);
      s2 = Math.fma(panel[p + 2], a, s2);
      s3 = Math.fma(panel[p + 3], a, s3);
      s4 = Math.fma(panel[p + 4], a, s4);
      s5 = Math.fma(panel[p + 5], a, s5);
      s6 = Math.fma(panel[p + 6], a, s6);
      s7 = Math.fma(panel[p + 7], a, s7);
    }
    sums[s] = s0;
    sums[s + 1] = s1;
    sums[s + 2] = s2;
    sums[s + 3] = s3;
    sums[s + 4] = s4;
    sums[s + 5] = s5;
    sums[s + 6] = s6;
    sums[s + 7] = s7;
  }

  /** The same straight from pairs. */
  private static void pairs8(
      int[] words, int lane, float[] in, int x, int count, float[] sums, int s) {
    float s0 = sums[s];
    float s1 = sums[s + 1];
    float s2 = sums[s + 2];
    float s3 = sums[s + 3];
    float s4 = sums[s + 4];
    float s5 = sums[s + 5];
    float s6 = sums[s + 6];
    float s7 = sums[s + 7];
    for (int k = 0, w = lane; k < count; k += 2, w += LANES) {
      float a = in[x + k];
      float b = in[x + k + 1];
      s0 = fma(words[w], a, b, s0);
      s1 = fma(words[w + 1], a, b, s1);
      s2 = fma(words[w + 2], a, b, s2);
      s3 = fma(words[w + 3], a, b, s3);
      s4 = fma(words[w + 4], a, b, s4);
      s5 = fma(words[w + 5], a, b, s5);
      s6 = fma(words[w + 6], a, b, s6);
      s7 = fma(words[w + 7], a, b, s7);
    }
    sums[s] = s0;
    sums[s + 1] = s1;
    sums[s + 2] = s2;
    sums[s + 3] = s3;
    sums[s + 4] = s4;
    sums[s + 5] = s5;
    sums[s + 6] = s6;
    sums[s + 7] = s7;
  }

  private static float fma(int pair, float even, float odd, float sum) {
    float first = Math.fma(Float.intBitsToFloat(pair << 16), even, sum);
    return Math.fma(Float.intBitsToFloat(pair & 0xffff0000), odd, first);
  }

  @Override
  public void scores8(AttendWork work, long keys, int row, int column) {
    int headDim = work.headDim;
    MemorySegment.copy(work.storage, FLOAT, keys, work.keys, 0, headDim * GROUP);
    for (int r = row; r < row + AttendWork.BLOCK; r++) {
      int to = r * SPAN + column;
      Arrays.fill(work.scores, to, to + GROUP, 0f);
      for (int d = 0; d < headDim; d++) {
        addScaled(work.keys, d * GROUP, work.queries[r * headDim + d], work.scores, to, GROUP);
      }
    }
  }

  private static void addScaled(float[] in, int at, float factor, float[] sums, int to, int count) {
    for (int i = 0; i < count; i++) {
      sums[to + i] = Math.fma(in[at + i], factor, sums[to + i]);
    }
  }

  @Override
  public float weights(AttendWork work, int row, int count, float before) {
    float max = before;
    for (int i = row * SPAN; i < row * SPAN + count; i++) {
      float score = work.scores[i];
      max = score > max ? score : max;
    }
    for (int i = row * SPAN; i < row * SPAN + count; i++) {
      work.scores[i] = Exp.exp(work.scores[i] - max);
    }
    return max;
  }

  @Override
  public void total(AttendWork work, int row, int count, float decay) {
    for (int i = 0; i < GROUP; i++) {
      float total = work.totals[row * GROUP + i] * decay;
      for (int t = i; t < count; t += GROUP) {
        total += work.scores[row * SPAN + t];
      }
      work.totals[row * GROUP + i] = total;
    }
    for (int i = row * work.headDim; i < (row + 1) * work.headDim; i++) {
      work.sums[i] *= decay;
    }
  }

  @Override
  public void values(AttendWork work, long values, int row, int column, int from, int to) {
    load(work, values);
    valuesRow(work, row, column, from, to);
  }

  @Override
  public void values8(AttendWork work, long values, int row, int column, int from, int to) {
    load(work, values);
    for (int r = row; r < row + AttendWork.BLOCK; r++) {
      valuesRow(work, r, column, from, to);
    }
  }

  private static void load(AttendWork work, long values) {
    MemorySegment.copy(work.storage, FLOAT, values, work.values, 0, work.headDim * GROUP);
  }

  private static void valuesRow(AttendWork work, int row, int column, int from, int to) {
    int headDim = work.headDim;
    for (int t = from; t < to; t++) {
      float weight = work.scores[row * SPAN + column + t];
      addScaled(work.values, t * headDim, weight, work.sums, row * headDim, headDim);
    }
  }

  @Override
  public void add(float[] terms, int from, float[] sums, int to, int count) {
    for (int i = 0; i < count; i++) {
      sums[to + i] += terms[from + i];
    }
  }

  @Override
  public void gate(float[] in, int gate, int up, float[] out, int at, int count) {
    for (int i = 0; i < count; i++) {
      float x = in[gate + i];
      out[at + i] = x / (1f + Exp.exp(-x)) * in[up + i];
    }
  }
}
