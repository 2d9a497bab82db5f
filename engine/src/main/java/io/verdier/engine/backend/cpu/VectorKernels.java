package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The kernels with the Vector API. Stateless.
 *
 * <p>Rules that keep C2 from silently boxing every vector (a factor of 15 when it happens): one
 * kernel per method, at most 24 sums live, activations in arrays, weights alone in memory segments.
 * {@code VectorKernelsTest} fails when a kernel allocates.
 *
 * <p>Kernels take a strip of two vectors at a time. With 512-bit vectors that is the tile's 32
 * rows; with narrower ones the tile is passed over two or four times, each lane still seeing all
 * columns in order.
 */
final class VectorKernels implements Kernels {
  static final VectorSpecies<Float> F =
      FloatVector.SPECIES_PREFERRED.length() > 16
          ? FloatVector.SPECIES_512
          : FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> I = VectorSpecies.of(int.class, F.vectorShape());
  private static final int L = F.length();
  private static final int STRIP = 2 * L;
  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final int SPAN = AttendWork.SPAN;
  private static final int HIGH = 0xffff0000;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  @Override
  public void pairsRow(TileWork work, int row) {
    for (int lane = 0; lane < LANES; lane += STRIP) {
      pairsStrip(work, row, lane);
    }
  }

  private static void pairsStrip(TileWork work, int row, int lane) {
    MemorySegment weights = work.weights;
    long at = work.offset + lane * 4L;
    float[] in = work.in;
    int x = work.inRow(row);
    int sum = work.sumsAt + row * LANES + lane;
    FloatVector a = FloatVector.fromArray(F, work.sums, sum);
    FloatVector b = FloatVector.fromArray(F, work.sums, sum + L);
    int columns = work.columns;
    for (int k = 0; k < columns; k += 2) {
      IntVector v = IntVector.fromMemorySegment(I, weights, at, ORDER);
      IntVector w = IntVector.fromMemorySegment(I, weights, at + L * 4L, ORDER);
      float even = in[x + k];
      float odd = in[x + k + 1];
      a = low(v).fma(FloatVector.broadcast(F, even), a);
      b = low(w).fma(FloatVector.broadcast(F, even), b);
      a = high(v).fma(FloatVector.broadcast(F, odd), a);
      b = high(w).fma(FloatVector.broadcast(F, odd), b);
      at += LANES * 4L;
    }
    a.intoArray(work.sums, sum);
    b.intoArray(work.sums, sum + L);
  }

  @Override
  public void pairsTwoTiles(TileWork work) {
    for (int lane = 0; lane < LANES; lane += STRIP) {
      pairsTwoStrips(work, lane);
    }
  }

  private static void pairsTwoStrips(TileWork work, int lane) {
    MemorySegment weights = work.weights;
    long at = work.offset + lane * 4L;
    long next = at + 2L * work.columns * LANES;
    float[] in = work.in;
    int x = work.inRow(0);
    int sum = work.sumsAt + lane;
    FloatVector a = FloatVector.fromArray(F, work.sums, sum);
    FloatVector b = FloatVector.fromArray(F, work.sums, sum + L);
    FloatVector c = FloatVector.fromArray(F, work.sums, sum + LANES);
    FloatVector d = FloatVector.fromArray(F, work.sums, sum + LANES + L);
    int columns = work.columns;
    for (int k = 0; k < columns; k += 2) {
      FloatVector even = FloatVector.broadcast(F, in[x + k]);
      FloatVector odd = FloatVector.broadcast(F, in[x + k + 1]);
      long from = (long) k * LANES * 2;
      IntVector v = IntVector.fromMemorySegment(I, weights, at + from, ORDER);
      IntVector w = IntVector.fromMemorySegment(I, weights, at + from + L * 4L, ORDER);
      a = low(v).fma(even, a);
      b = low(w).fma(even, b);
      a = high(v).fma(odd, a);
      b = high(w).fma(odd, b);
      v = IntVector.fromMemorySegment(I, weights, next + from, ORDER);
      w = IntVector.fromMemorySegment(I, weights, next + from + L * 4L, ORDER);
      c = low(v).fma(even, c);
      d = low(w).fma(even, d);
      c = high(v).fma(odd, c);
      d = high(w).fma(odd, d);
    }
    a.intoArray(work.sums, sum);
    b.intoArray(work.sums, sum + L);
    c.intoArray(work.sums, sum + LANES);
    d.intoArray(work.sums, sum + LANES + L);
  }

  private static FloatVector low(IntVector pairs) {
    return pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
  }

  private static FloatVector high(IntVector pairs) {
    return pairs.and(HIGH).reinterpretAsFloats();
  }

  @Override
  public void pairsRows4(TileWork work, int row) {
    for (int lane = 0; lane < LANES; lane += STRIP) {
      pairsStrip4(work, row, lane);
    }
  }

  private static void pairsStrip4(TileWork work, int row, int lane) {
    MemorySegment weights = work.weights;
    long at = work.offset + lane * 4L;
    float[] in = work.in;
    float[] sums = work.sums;
    int x0 = work.inRow(row);
    int x1 = work.inRow(row + 1);
    int x2 = work.inRow(row + 2);
    int x3 = work.inRow(row + 3);
    int sum = work.sumsAt + row * LANES + lane;
    FloatVector a0 = FloatVector.fromArray(F, sums, sum);
    FloatVector b0 = FloatVector.fromArray(F, sums, sum + L);
    FloatVector a1 = FloatVector.fromArray(F, sums, sum + LANES);
    FloatVector b1 = FloatVector.fromArray(F, sums, sum + LANES + L);
    FloatVector a2 = FloatVector.fromArray(F, sums, sum + 2 * LANES);
    FloatVector b2 = FloatVector.fromArray(F, sums, sum + 2 * LANES + L);
    FloatVector a3 = FloatVector.fromArray(F, sums, sum + 3 * LANES);
    FloatVector b3 = FloatVector.fromArray(F, sums, sum + 3 * LANES + L);
    int columns = work.columns;
    for (int k = 0; k < columns; k += 2) {
      IntVector v = IntVector.fromMemorySegment(I, weights, at, ORDER);
      IntVector w = IntVector.fromMemorySegment(I, weights, at + L * 4L, ORDER);
      FloatVector p = low(v);
      FloatVector q = low(w);
      a0 = p.fma(FloatVector.broadcast(F, in[x0 + k]), a0);
      b0 = q.fma(FloatVector.broadcast(F, in[x0 + k]), b0);
      a1 = p.fma(FloatVector.broadcast(F, in[x1 + k]), a1);
      b1 = q.fma(FloatVector.broadcast(F, in[x1 + k]), b1);
      a2 = p.fma(FloatVector.broadcast(F, in[x2 + k]), a2);
      b2 = q.fma(FloatVector.broadcast(F, in[x2 + k]), b2);
      a3 = p.fma(FloatVector.broadcast(F, in[x3 + k]), a3);
      b3 = q.fma(FloatVector.broadcast(F, in[x3 + k]), b3);
      p = high(v);
      q = high(w);
      a0 = p.fma(FloatVector.broadcast(F, in[x0 + k + 1]), a0);
      b0 = q.fma(FloatVector.broadcast(F, in[x0 + k + 1]), b0);
      a1 = p.fma(FloatVector.broadcast(F, in[x1 + k + 1]), a1);
      b1 = q.fma(FloatVector.broadcast(F, in[x1 + k + 1]), b1);
      a2 = p.fma(FloatVector.broadcast(F, in[x2 + k + 1]), a2);
      b2 = q.fma(FloatVector.broadcast(F, in[x2 + k + 1]), b2);
      a3 = p.fma(FloatVector.broadcast(F, in[x3 + k + 1]), a3);
      b3 = q.fma(FloatVector.broadcast(F, in[x3 + k + 1]), b3);
      at += LANES * 4L;
    }
    a0.intoArray(sums, sum);
    b0.intoArray(sums, sum + L);
    a1.intoArray(sums, sum + LANES);
    b1.intoArray(sums, sum + LANES + L);
    a2.intoArray(sums, sum + 2 * LANES);
    b2.intoArray(sums, sum + 2 * LANES + L);
    a3.intoArray(sums, sum + 3 * LANES);
    b3.intoArray(sums, sum + 3 * LANES + L);
  }

  @Override
  public void unpack(TileWork work, int from, int count) {
    MemorySegment weights = work.weights;
    long at = work.offset + (long) from * LANES * 2;
    float[] panel = work.panel;
    for (int k = 0; k < count; k += 2) {
      for (int lane = 0; lane < LANES; lane += L) {
        IntVector v = IntVector.fromMemorySegment(I, weights, at + lane * 4L, ORDER);
        low(v).intoArray(panel, k * LANES + lane);
        high(v).intoArray(panel, (k + 1) * LANES + lane);
      }
      at += LANES * 4L;
    }
  }

  @Override
  public void panelRows12(TileWork work, int row, int from, int count) {
    for (int lane = 0; lane < LANES; lane += STRIP) {
      if (L == 16) {
        PanelKernel.rows12(work, row, lane, from, count);
      } else { // half as many registers
        PanelKernel.rows4(work, row, lane, from, count);
        PanelKernel.rows4(work, row + 4, lane, from, count);
        PanelKernel.rows4(work, row + 8, lane, from, count);
      }
    }
  }

  @Override
  public void panelRows4(TileWork work, int row, int from, int count) {
    for (int lane = 0; lane < LANES; lane += STRIP) {
      PanelKernel.rows4(work, row, lane, from, count);
    }
  }

  @Override
  public void scores8(AttendWork work, long keys, int row, int column) {
    AttendKernel.scores8(work, keys, row, column);
  }

  @Override
  public float weights(AttendWork work, int row, int count, float before) {
    float[] scores = work.scores;
    int end = row * SPAN + count;
    FloatVector largest = FloatVector.broadcast(F, before);
    for (int i = row * SPAN; i < end; i += L) {
      FloatVector score = FloatVector.fromArray(F, scores, i);
      largest = largest.blend(score, score.compare(VectorOperators.GT, largest));
    }
    float max = largest.reduceLanes(VectorOperators.MAX); // the one reduction without an order
    for (int i = row * SPAN; i < end; i += L) {
      exp(FloatVector.fromArray(F, scores, i).sub(max)).intoArray(scores, i);
    }
    return max;
  }

  @Override
  public void total(AttendWork work, int row, int count, float decay) {
    AttendKernel.total(work, row, count, decay);
  }

  @Override
  public void values(AttendWork work, long values, int row, int column, int from, int to) {
    AttendKernel.values(work, values, row, column, from, to);
  }

  @Override
  public void values8(AttendWork work, long values, int row, int column, int from, int to) {
    AttendKernel.values8(work, values, row, column, from, to);
  }

  @Override
  public void add(float[] terms, int from, float[] sums, int to, int count) {
    int i = 0;
    for (; i <= count - L; i += L) {
      FloatVector sum = FloatVector.fromArray(F, sums, to + i);
      sum.add(FloatVector.fromArray(F, terms, from + i)).intoArray(sums, to + i);
    }
    for (; i < count; i++) {
      sums[to + i] += terms[from + i];
    }
  }

  @Override
  public void gate(float[] in, int gate, int up, float[] out, int at, int count) {
    int i = 0;
    for (; i <= count - L; i += L) {
      FloatVector x = FloatVector.fromArray(F, in, gate + i);
      FloatVector silu = x.div(exp(x.neg()).add(1f));
      silu.mul(FloatVector.fromArray(F, in, up + i)).intoArray(out, at + i);
    }
    for (; i < count; i++) {
      float x = in[gate + i];
      out[at + i] = x / (1f + Exp.exp(-x)) * in[up + i];
    }
  }

  /** As {@link Exp#exp}, operation by operation. */
  private static FloatVector exp(FloatVector x) {
    FloatVector y = x.blend(Exp.MIN, x.compare(VectorOperators.LT, Exp.MIN));
    y = y.blend(Exp.MAX, y.compare(VectorOperators.GT, Exp.MAX));
    FloatVector shifted =
        y.fma(FloatVector.broadcast(F, Exp.LOG2_E), FloatVector.broadcast(F, Exp.ROUND));
    FloatVector n = shifted.sub(Exp.ROUND);
    FloatVector r = n.fma(FloatVector.broadcast(F, -Exp.LN2_HIGH), y);
    r = n.fma(FloatVector.broadcast(F, -Exp.LN2_LOW), r);
    FloatVector p = r.fma(FloatVector.broadcast(F, Exp.C6), FloatVector.broadcast(F, Exp.C5));
    p = p.fma(r, FloatVector.broadcast(F, Exp.C4));
    p = p.fma(r, FloatVector.broadcast(F, Exp.C3));
    p = p.fma(r, FloatVector.broadcast(F, Exp.C2));
    p = p.fma(r, FloatVector.broadcast(F, 1f));
    p = p.fma(r, FloatVector.broadcast(F, 1f));
    IntVector power = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, Exp.MANTISSA_BITS);
    return p.reinterpretAsInts().add(power).reinterpretAsFloats();
  }
}
