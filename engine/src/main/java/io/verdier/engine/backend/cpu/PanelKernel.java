package io.verdier.engine.backend.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of an unpacked panel with a block of rows. Stateless. See {@link VectorKernels} for the
 * rules of such code.
 *
 * <p>Activations come from {@linkplain RowBlocks blocks}, in which the next step's follow this
 * step's: with one running index the sums stay in registers, while an index for each of twelve rows
 * drives them out (0.7 of the speed).
 */
final class PanelKernel {
  private static final VectorSpecies<Float> F = VectorKernels.F;
  private static final int L = F.length();
  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final int BLOCK = TileWork.BLOCK;

  private PanelKernel() {}

  /** 12 rows: 24 sums, two weight vectors and a broadcast in 32 registers. */
  static void rows12(TileWork work, int row, int lane, int from, int count) {
    float[] panel = work.panel;
    float[] in = work.blocks;
    float[] sums = work.sums;
    int x = work.blockAt(row, from, count);
    int s = work.sumsAt + row * LANES + lane;
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
    FloatVector a8 = FloatVector.fromArray(F, sums, s + 8 * LANES);
    FloatVector b8 = FloatVector.fromArray(F, sums, s + 8 * LANES + L);
    FloatVector a9 = FloatVector.fromArray(F, sums, s + 9 * LANES);
    FloatVector b9 = FloatVector.fromArray(F, sums, s + 9 * LANES + L);
    FloatVector a10 = FloatVector.fromArray(F, sums, s + 10 * LANES);
    FloatVector b10 = FloatVector.fromArray(F, sums, s + 10 * LANES + L);
    FloatVector a11 = FloatVector.fromArray(F, sums, s + 11 * LANES);
    FloatVector b11 = FloatVector.fromArray(F, sums, s + 11 * LANES + L);
    for (int k = 0; k < count; k++) {
      FloatVector p = FloatVector.fromArray(F, panel, k * LANES + lane);
      FloatVector q = FloatVector.fromArray(F, panel, k * LANES + lane + L);
      FloatVector v = FloatVector.broadcast(F, in[x + k * BLOCK]);
      a0 = p.fma(v, a0);
      b0 = q.fma(v, b0);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 1]);
      a1 = p.fma(v, a1);
      b1 = q.fma(v, b1);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 2]);
      a2 = p.fma(v, a2);
      b2 = q.fma(v, b2);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 3]);
      a3 = p.fma(v, a3);
      b3 = q.fma(v, b3);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 4]);
      a4 = p.fma(v, a4);
      b4 = q.fma(v, b4);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 5]);
      a5 = p.fma(v, a5);
      b5 = q.fma(v, b5);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 6]);
      a6 = p.fma(v, a6);
      b6 = q.fma(v, b6);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 7]);
      a7 = p.fma(v, a7);
      b7 = q.fma(v, b7);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 8]);
      a8 = p.fma(v, a8);
      b8 = q.fma(v, b8);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 9]);
      a9 = p.fma(v, a9);
      b9 = q.fma(v, b9);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 10]);
      a10 = p.fma(v, a10);
      b10 = q.fma(v, b10);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 11]);
      a11 = p.fma(v, a11);
      b11 = q.fma(v, b11);
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
    a8.intoArray(sums, s + 8 * LANES);
    b8.intoArray(sums, s + 8 * LANES + L);
    a9.intoArray(sums, s + 9 * LANES);
    b9.intoArray(sums, s + 9 * LANES + L);
    a10.intoArray(sums, s + 10 * LANES);
    b10.intoArray(sums, s + 10 * LANES + L);
    a11.intoArray(sums, s + 11 * LANES);
    b11.intoArray(sums, s + 11 * LANES + L);
  }

  /** 4 rows of a block: 8 sums, for what is left of it and for narrow vectors. */
  static void rows4(TileWork work, int row, int lane, int from, int count) {
    float[] panel = work.panel;
    float[] in = work.blocks;
    float[] sums = work.sums;
    int x = work.blockAt(row, from, count);
    int s = work.sumsAt + row * LANES + lane;
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
      FloatVector v = FloatVector.broadcast(F, in[x + k * BLOCK]);
      a0 = p.fma(v, a0);
      b0 = q.fma(v, b0);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 1]);
      a1 = p.fma(v, a1);
      b1 = q.fma(v, b1);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 2]);
      a2 = p.fma(v, a2);
      b2 = q.fma(v, b2);
      v = FloatVector.broadcast(F, in[x + k * BLOCK + 3]);
      a3 = p.fma(v, a3);
      b3 = q.fma(v, b3);
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
