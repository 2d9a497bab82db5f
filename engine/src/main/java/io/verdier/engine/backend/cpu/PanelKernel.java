package io.verdier.engine.backend.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of an unpacked panel with a block of rows. Stateless. See {@link VectorKernels} for the
 * rules of such code.
 */
final class PanelKernel {
  private static final VectorSpecies<Float> F = VectorKernels.F;
  private static final int L = F.length();
  private static final int LANES = PackedMatrix.TILE_ROWS;

  private PanelKernel() {}

  /** 8 rows: 16 sums, two weight vectors and a broadcast. */
  static void rows8(TileWork work, int row, int lane, int from, int count) {
    float[] panel = work.panel;
    float[] in = work.in;
    float[] sums = work.sums;
    int x0 = work.inRow(row) + from;
    int x1 = work.inRow(row + 1) + from;
    int x2 = work.inRow(row + 2) + from;
    int x3 = work.inRow(row + 3) + from;
    int x4 = work.inRow(row + 4) + from;
    int x5 = work.inRow(row + 5) + from;
    int x6 = work.inRow(row + 6) + from;
    int x7 = work.inRow(row + 7) + from;
    int s = row * LANES + lane;
    FloatVector a0 = FloatVector.fromArray(F, sums, s);
    FloatVector b0 = FloatVector.fromArray(F, sums, s + L);
    FloatVector a1 = FloatVector.fromArray(F, sums, s + LANES);
    FloatVector b1 = FloatVector.fromArray(F, sums, s + LANES + L);
    FloatVector a2 = FloatVector.fromArray(F, sums, s + 2 * LANES);
    FloatVector b2 = FloatVector.fromArray(F, sums, s + 2 * LANES + L);
    FloatVector a3 = FloatVector.fromArray(F, sums, s + 3 * LANES);
    FloatVector b3 = FloatVector.fromArray(F, sums, s + 3 * LANES + L);
    FloatVector a4 = FloatVector.fromArray(F, sums, s + 4 * LANES);
    FloatVector b4 = FloatVector.fromArray(F, sums, s + 4 * LANES + L);
    FloatVector a5 = FloatVector.fromArray(F, sums, s + 5 * LANES);
    FloatVector b5 = FloatVector.fromArray(F, sums, s + 5 * LANES + L);
    FloatVector a6 = FloatVector.fromArray(F, sums, s + 6 * LANES);
    FloatVector b6 = FloatVector.fromArray(F, sums, s + 6 * LANES + L);
    FloatVector a7 = FloatVector.fromArray(F, sums, s + 7 * LANES);
    FloatVector b7 = FloatVector.fromArray(F, sums, s + 7 * LANES + L);
    for (int k = 0; k < count; k++) {
      FloatVector p = FloatVector.fromArray(F, panel, k * LANES + lane);
      FloatVector q = FloatVector.fromArray(F, panel, k * LANES + lane + L);
      a0 = p.fma(FloatVector.broadcast(F, in[x0 + k]), a0);
      b0 = q.fma(FloatVector.broadcast(F, in[x0 + k]), b0);
      a1 = p.fma(FloatVector.broadcast(F, in[x1 + k]), a1);
      b1 = q.fma(FloatVector.broadcast(F, in[x1 + k]), b1);
      a2 = p.fma(FloatVector.broadcast(F, in[x2 + k]), a2);
      b2 = q.fma(FloatVector.broadcast(F, in[x2 + k]), b2);
      a3 = p.fma(FloatVector.broadcast(F, in[x3 + k]), a3);
      b3 = q.fma(FloatVector.broadcast(F, in[x3 + k]), b3);
      a4 = p.fma(FloatVector.broadcast(F, in[x4 + k]), a4);
      b4 = q.fma(FloatVector.broadcast(F, in[x4 + k]), b4);
      a5 = p.fma(FloatVector.broadcast(F, in[x5 + k]), a5);
      b5 = q.fma(FloatVector.broadcast(F, in[x5 + k]), b5);
      a6 = p.fma(FloatVector.broadcast(F, in[x6 + k]), a6);
      b6 = q.fma(FloatVector.broadcast(F, in[x6 + k]), b6);
      a7 = p.fma(FloatVector.broadcast(F, in[x7 + k]), a7);
      b7 = q.fma(FloatVector.broadcast(F, in[x7 + k]), b7);
    }
    a0.intoArray(sums, s);
    b0.intoArray(sums, s + L);
    a1.intoArray(sums, s + LANES);
    b1.intoArray(sums, s + LANES + L);
    a2.intoArray(sums, s + 2 * LANES);
    b2.intoArray(sums, s + 2 * LANES + L);
    a3.intoArray(sums, s + 3 * LANES);
    b3.intoArray(sums, s + 3 * LANES + L);
    a4.intoArray(sums, s + 4 * LANES);
    b4.intoArray(sums, s + 4 * LANES + L);
    a5.intoArray(sums, s + 5 * LANES);
    b5.intoArray(sums, s + 5 * LANES + L);
    a6.intoArray(sums, s + 6 * LANES);
    b6.intoArray(sums, s + 6 * LANES + L);
    a7.intoArray(sums, s + 7 * LANES);
    b7.intoArray(sums, s + 7 * LANES + L);
  }

  /** 4 rows: 8 sums, two weight vectors and a broadcast. */
  static void rows4(TileWork work, int row, int lane, int from, int count) {
    float[] panel = work.panel;
    float[] in = work.in;
    float[] sums = work.sums;
    int x0 = work.inRow(row) + from;
    int x1 = work.inRow(row + 1) + from;
    int x2 = work.inRow(row + 2) + from;
    int x3 = work.inRow(row + 3) + from;
    int s = row * LANES + lane;
    FloatVector a0 = FloatVector.fromArray(F, sums, s);
    FloatVector b0 = FloatVector.fromArray(F, sums, s + L);
    FloatVector a1 = FloatVector.fromArray(F, sums, s + LANES);
    FloatVector b1 = FloatVector.fromArray(F, sums, s + LANES + L);
    FloatVector a2 = FloatVector.fromArray(F, sums, s + 2 * LANES);
    FloatVector b2 = FloatVector.fromArray(F, sums, s + 2 * LANES + L);
    FloatVector a3 = FloatVector.fromArray(F, sums, s + 3 * LANES);
    FloatVector b3 = FloatVector.fromArray(F, sums, s + 3 * LANES + L);
    for (int k = 0; k < count; k++) {
      FloatVector p = FloatVector.fromArray(F, panel, k * LANES + lane);
      FloatVector q = FloatVector.fromArray(F, panel, k * LANES + lane + L);
      a0 = p.fma(FloatVector.broadcast(F, in[x0 + k]), a0);
      b0 = q.fma(FloatVector.broadcast(F, in[x0 + k]), b0);
      a1 = p.fma(FloatVector.broadcast(F, in[x1 + k]), a1);
      b1 = q.fma(FloatVector.broadcast(F, in[x1 + k]), b1);
      a2 = p.fma(FloatVector.broadcast(F, in[x2 + k]), a2);
      b2 = q.fma(FloatVector.broadcast(F, in[x2 + k]), b2);
      a3 = p.fma(FloatVector.broadcast(F, in[x3 + k]), a3);
      b3 = q.fma(FloatVector.broadcast(F, in[x3 + k]), b3);
    }
    a0.intoArray(sums, s);
    b0.intoArray(sums, s + L);
    a1.intoArray(sums, s + LANES);
    b1.intoArray(sums, s + LANES + L);
    a2.intoArray(sums, s + 2 * LANES);
    b2.intoArray(sums, s + 2 * LANES + L);
    a3.intoArray(sums, s + 3 * LANES);
    b3.intoArray(sums, s + 3 * LANES + L);
  }
}
