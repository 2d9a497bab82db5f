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
 */
final class AttendKernel {
  private static final VectorSpecies<Float> F = VectorKernels.F;
  private static final int L = F.length();
  private static final int GROUP = AttendWork.GROUP;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private AttendKernel() {}

  static void scores4(AttendWork work, long keys, int row) {
    for (int lane = 0; lane < GROUP; lane += L) {
      scoresLanes4(work, keys + lane * 4L, row, lane);
    }
  }

  private static void scoresLanes4(AttendWork work, long keys, int row, int lane) {
    MemorySegment storage = work.storage;
    float[] queries = work.queries;
    int headDim = work.headDim;
    int q0 = row * headDim;
    int q1 = q0 + headDim;
    int q2 = q1 + headDim;
    int q3 = q2 + headDim;
    FloatVector s0 = FloatVector.zero(F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    long at = keys;
    for (int d = 0; d < headDim; d++) {
      FloatVector k = FloatVector.fromMemorySegment(F, storage, at, ORDER);
      s0 = k.fma(FloatVector.broadcast(F, queries[q0 + d]), s0);
      s1 = k.fma(FloatVector.broadcast(F, queries[q1 + d]), s1);
      s2 = k.fma(FloatVector.broadcast(F, queries[q2 + d]), s2);
      s3 = k.fma(FloatVector.broadcast(F, queries[q3 + d]), s3);
      at += GROUP * 4L;
    }
    int to = row * GROUP + lane;
    s0.intoArray(work.scores, to);
    s1.intoArray(work.scores, to + GROUP);
    s2.intoArray(work.scores, to + 2 * GROUP);
    s3.intoArray(work.scores, to + 3 * GROUP);
  }

  static void values(AttendWork work, long values, int row, int from, int to) {
    int headDim = work.headDim;
    int whole = headDim - headDim % L;
    for (int d = 0; d < whole; d += L) {
      FloatVector s = FloatVector.fromArray(F, work.sums, row * headDim + d);
      for (int t = from; t < to; t++) {
        long at = values + ((long) t * headDim + d) * 4;
        FloatVector v = FloatVector.fromMemorySegment(F, work.storage, at, ORDER);
        s = v.fma(FloatVector.broadcast(F, work.scores[row * GROUP + t]), s);
      }
      s.intoArray(work.sums, row * headDim + d);
    }
    tail(work, values, row, from, to, whole);
  }

  static void values4(AttendWork work, long values, int row, int from, int to) {
    int headDim = work.headDim;
    int whole = headDim - headDim % L;
    for (int d = 0; d < whole; d += L) {
      valuesLanes4(work, values + d * 4L, row * headDim + d, row * GROUP, from, to);
    }
    for (int r = row; r < row + 4 && whole < headDim; r++) {
      tail(work, values, r, from, to, whole);
    }
  }

  private static void valuesLanes4(
      AttendWork work, long values, int sum, int score, int from, int to) {
    MemorySegment storage = work.storage;
    float[] scores = work.scores;
    int headDim = work.headDim;
    FloatVector s0 = FloatVector.fromArray(F, work.sums, sum);
    FloatVector s1 = FloatVector.fromArray(F, work.sums, sum + headDim);
    FloatVector s2 = FloatVector.fromArray(F, work.sums, sum + 2 * headDim);
    FloatVector s3 = FloatVector.fromArray(F, work.sums, sum + 3 * headDim);
    long at = values + (long) from * headDim * 4;
    for (int t = score + from; t < score + to; t++) {
      FloatVector v = FloatVector.fromMemorySegment(F, storage, at, ORDER);
      s0 = v.fma(FloatVector.broadcast(F, scores[t]), s0);
      s1 = v.fma(FloatVector.broadcast(F, scores[t + GROUP]), s1);
      s2 = v.fma(FloatVector.broadcast(F, scores[t + 2 * GROUP]), s2);
      s3 = v.fma(FloatVector.broadcast(F, scores[t + 3 * GROUP]), s3);
      at += headDim * 4L;
    }
    s0.intoArray(work.sums, sum);
    s1.intoArray(work.sums, sum + headDim);
    s2.intoArray(work.sums, sum + 2 * headDim);
    s3.intoArray(work.sums, sum + 3 * headDim);
  }

  /** Dimensions behind the last whole vector. */
  private static void tail(AttendWork work, long values, int row, int from, int to, int first) {
    int headDim = work.headDim;
    for (int d = first; d < headDim; d++) {
      float s = work.sums[row * headDim + d];
      for (int t = from; t < to; t++) {
        float v = work.storage.get(CpuKvStorage.FLOAT, values + ((long) t * headDim + d) * 4);
        s = Math.fma(v, work.scores[row * GROUP + t], s);
      }
      work.sums[row * headDim + d] = s;
    }
  }
}
