package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Scores and weighted values over one group of 16 tokens. Stateless. See {@link VectorKernels} for
 * the rules of such code.
 *
 * <pre>
 *   keys    [headDim][16 tokens] f32    token = lane: a score sums over rows, dimension by dimension
 *   values  [16 tokens][headDim] f32    dimension = lane: a sum runs over rows, token by token
 * </pre>
 *
 * <p>Eight queries at a time: as many chains as keep two multiply-add units of four cycles busy.
 */
final class AttendKernel {
  private static final VectorSpecies<Float> F = VectorKernels.F;
  private static final int L = F.length();
  private static final int GROUP = AttendWork.GROUP;
  private static final int SPAN = AttendWork.SPAN;
  private static final int BLOCK = AttendWork.BLOCK;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private AttendKernel() {}

  static void scores8(AttendWork work, long keys, int row, int column) {
    for (int lane = 0; lane < GROUP; lane += L) {
      scoresLanes8(work, keys + lane * 4L, row, column + lane);
    }
  }

  private static void scoresLanes8(AttendWork work, long keys, int row, int column) {
    MemorySegment storage = work.storage;
    float[] queries = work.queries;
    int headDim = work.headDim;
    int q0 = row * headDim;
    int q1 = q0 + headDim;
    int q2 = q1 + headDim;
    int q3 = q2 + headDim;
    int q4 = q3 + headDim;
    int q5 = q4 + headDim;
    int q6 = q5 + headDim;
    int q7 = q6 + headDim;
    FloatVector s0 = FloatVector.zero(F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    FloatVector s4 = s0;
    FloatVector s5 = s0;
    FloatVector s6 = s0;
    FloatVector s7 = s0;
    long at = keys;
    for (int d = 0; d < headDim; d++) {
      FloatVector k = FloatVector.fromMemorySegment(F, storage, at, ORDER);
      s0 = k.fma(FloatVector.broadcast(F, queries[q0 + d]), s0);
      s1 = k.fma(FloatVector.broadcast(F, queries[q1 + d]), s1);
      s2 = k.fma(FloatVector.broadcast(F, queries[q2 + d]), s2);
      s3 = k.fma(FloatVector.broadcast(F, queries[q3 + d]), s3);
      s4 = k.fma(FloatVector.broadcast(F, queries[q4 + d]), s4);
      s5 = k.fma(FloatVector.broadcast(F, queries[q5 + d]), s5);
      s6 = k.fma(FloatVector.broadcast(F, queries[q6 + d]), s6);
      s7 = k.fma(FloatVector.broadcast(F, queries[q7 + d]), s7);
      at += GROUP * 4L;
    }
    int to = row * SPAN + column;
    s0.intoArray(work.scores, to);
    s1.intoArray(work.scores, to + SPAN);
    s2.intoArray(work.scores, to + 2 * SPAN);
    s3.intoArray(work.scores, to + 3 * SPAN);
    s4.intoArray(work.scores, to + 4 * SPAN);
    s5.intoArray(work.scores, to + 5 * SPAN);
    s6.intoArray(work.scores, to + 6 * SPAN);
    s7.intoArray(work.scores, to + 7 * SPAN);
  }

  static void total(AttendWork work, int row, int count, float decay) {
    float[] scores = work.scores;
    for (int lane = 0; lane < GROUP; lane += L) {
      FloatVector total = FloatVector.fromArray(F, work.totals, row * GROUP + lane).mul(decay);
      for (int t = row * SPAN + lane; t < row * SPAN + count; t += GROUP) {
        total = total.add(FloatVector.fromArray(F, scores, t));
      }
      total.intoArray(work.totals, row * GROUP + lane);
    }
    if (decay != 1f) {
      int end = (row + 1) * work.headDim;
      int i = row * work.headDim;
      for (; i <= end - L; i += L) {
        FloatVector.fromArray(F, work.sums, i).mul(decay).intoArray(work.sums, i);
      }
      for (; i < end; i++) {
        work.sums[i] *= decay;
      }
    }
  }

  static void values(AttendWork work, long values, int row, int column, int from, int to) {
    int headDim = work.headDim;
    int whole = headDim - headDim % L;
    int score = row * SPAN + column;
    for (int d = 0; d < whole; d += L) {
      FloatVector s = FloatVector.fromArray(F, work.sums, row * headDim + d);
      for (int t = from; t < to; t++) {
        long at = values + ((long) t * headDim + d) * 4;
        FloatVector v = FloatVector.fromMemorySegment(F, work.storage, at, ORDER);
        s = v.fma(FloatVector.broadcast(F, work.scores[score + t]), s);
      }
      s.intoArray(work.sums, row * headDim + d);
    }
    tail(work, values, row, column, from, to);
  }

  static void values8(AttendWork work, long values, int row, int column, int from, int to) {
    int headDim = work.headDim;
    int whole = headDim - headDim % L;
    long at = values + (long) from * headDim * 4;
    int score = row * SPAN + column + from;
    for (int d = 0; d < whole; d += L) {
      valuesLanes8(work, at + d * 4L, row * headDim + d, score, to - from);
    }
    for (int r = row; r < row + BLOCK && whole < headDim; r++) {
      tail(work, values, r, column, from, to);
    }
  }

  private static void valuesLanes8(AttendWork work, long values, int sum, int score, int count) {
    MemorySegment storage = work.storage;
    float[] scores = work.scores;
    int headDim = work.headDim;
    FloatVector s0 = FloatVector.fromArray(F, work.sums, sum);
    FloatVector s1 = FloatVector.fromArray(F, work.sums, sum + headDim);
    FloatVector s2 = FloatVector.fromArray(F, work.sums, sum + 2 * headDim);
    FloatVector s3 = FloatVector.fromArray(F, work.sums, sum + 3 * headDim);
    FloatVector s4 = FloatVector.fromArray(F, work.sums, sum + 4 * headDim);
    FloatVector s5 = FloatVector.fromArray(F, work.sums, sum + 5 * headDim);
    FloatVector s6 = FloatVector.fromArray(F, work.sums, sum + 6 * headDim);
    FloatVector s7 = FloatVector.fromArray(F, work.sums, sum + 7 * headDim);
    long at = values;
    for (int t = score; t < score + count; t++) {
      FloatVector v = FloatVector.fromMemorySegment(F, storage, at, ORDER);
      s0 = v.fma(FloatVector.broadcast(F, scores[t]), s0);
      s1 = v.fma(FloatVector.broadcast(F, scores[t + SPAN]), s1);
      s2 = v.fma(FloatVector.broadcast(F, scores[t + 2 * SPAN]), s2);
      s3 = v.fma(FloatVector.broadcast(F, scores[t + 3 * SPAN]), s3);
      s4 = v.fma(FloatVector.broadcast(F, scores[t + 4 * SPAN]), s4);
      s5 = v.fma(FloatVector.broadcast(F, scores[t + 5 * SPAN]), s5);
      s6 = v.fma(FloatVector.broadcast(F, scores[t + 6 * SPAN]), s6);
      s7 = v.fma(FloatVector.broadcast(F, scores[t + 7 * SPAN]), s7);
      at += headDim * 4L;
    }
    s0.intoArray(work.sums, sum);
    s1.intoArray(work.sums, sum + headDim);
    s2.intoArray(work.sums, sum + 2 * headDim);
    s3.intoArray(work.sums, sum + 3 * headDim);
    s4.intoArray(work.sums, sum + 4 * headDim);
    s5.intoArray(work.sums, sum + 5 * headDim);
    s6.intoArray(work.sums, sum + 6 * headDim);
    s7.intoArray(work.sums, sum + 7 * headDim);
  }

  /** Dimensions behind the last whole vector. */
  private static void tail(AttendWork work, long values, int row, int column, int from, int to) {
    int headDim = work.headDim;
    int score = row * SPAN + column;
    for (int d = headDim - headDim % L; d < headDim; d++) {
      float s = work.sums[row * headDim + d];
      for (int t = from; t < to; t++) {
        float v = work.storage.get(CpuKvStorage.FLOAT, values + ((long) t * headDim + d) * 4);
        s = Math.fma(v, work.scores[score + t], s);
      }
      work.sums[row * headDim + d] = s;
    }
  }
}
