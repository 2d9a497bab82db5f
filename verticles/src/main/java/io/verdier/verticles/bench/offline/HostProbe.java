package io.verdier.verticles.bench.offline;

import io.verdier.engine.backend.Probe;
import java.util.Arrays;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.function.IntToDoubleFunction;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The host's limits in plain Java: reading memory in order, and float32 multiply-adds in registers.
 * Owned by the thread that measures; its threads live for one measurement. Stands in where a
 * backend has no probe of its own: the processor's instructions for narrower types do several times
 * as many operations.
 *
 * <p>All threads do the same work in rounds, and the best round counts: what else runs on the
 * machine can only lower a rate, as can the first rounds, in which the loops are not compiled yet.
 */
final class HostProbe implements Probe {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final int ROUNDS = 64; // the compiler, beside busy threads, takes the first dozen

  /** In all: more than caches hold, and a few hundredths of a second to read. */
  private static final int FLOATS = 64 << 20;

  private static final int PIECE = 16 << 10; // floats that one call reads
  private static final int CHAINS = 12; // multiply-adds under way: latency times units
  private static final int STEPS = 256; // links of each chain in a call
  private static final int CALLS = 4000;

  private final int threads;

  HostProbe(int threads) {
    this.threads = threads;
  }

  @Override
  public Rates measure() {
    float[][] data = new float[threads][FLOATS / threads / PIECE * PIECE];
    for (float[] part : data) {
      Arrays.fill(part, 1e-9f); // also brings the pages
    }
    double bytes = (double) threads * data[0].length * Float.BYTES;
    double operations = 2.0 * threads * CALLS * STEPS * CHAINS * LANES;
    return new Rates(
        bytes / bestNanos(thread -> read(data[thread])),
        operations / bestNanos(thread -> multiply()));
  }

  private static double read(float[] part) {
    double sum = 0;
    for (int from = 0; from < part.length; from += PIECE) {
      sum += readPiece(part, from);
    }
    return sum;
  }

  private static float readPiece(float[] part, int from) {
    FloatVector a = FloatVector.zero(SPECIES);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector d = a;
    for (int i = from; i < from + PIECE; i += 4 * LANES) {
      a = a.add(FloatVector.fromArray(SPECIES, part, i));
      b = b.add(FloatVector.fromArray(SPECIES, part, i + LANES));
      c = c.add(FloatVector.fromArray(SPECIES, part, i + 2 * LANES));
      d = d.add(FloatVector.fromArray(SPECIES, part, i + 3 * LANES));
    }
    return a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD);
  }

  private static double multiply() {
    double sum = 0;
    for (int call = 0; call < CALLS; call++) {
      sum += multiplyAdd(call);
    }
    return sum;
  }

  /** Written out: the compiler keeps variables in registers, but not the elements of an array. */
  private static float multiplyAdd(float start) {
    FloatVector x = FloatVector.broadcast(SPECIES, 0.5f);
    FloatVector y = FloatVector.broadcast(SPECIES, start);
    FloatVector a = y;
    FloatVector b = y;
    FloatVector c = y;
    FloatVector d = y;
    FloatVector e = y;
    FloatVector f = y;
    FloatVector g = y;
    FloatVector h = y;
    FloatVector i = y;
    FloatVector j = y;
    FloatVector k = y;
    FloatVector l = y;
    for (int step = 0; step < STEPS; step++) {
      a = a.fma(x, y);
      b = b.fma(x, y);
      c = c.fma(x, y);
      d = d.fma(x, y);
      e = e.fma(x, y);
      f = f.fma(x, y);
      g = g.fma(x, y);
      h = h.fma(x, y);
      i = i.fma(x, y);
      j = j.fma(x, y);
      k = k.fma(x, y);
      l = l.fma(x, y);
    }
    FloatVector all = a.add(b).add(c.add(d)).add(e.add(f).add(g.add(h)));
    return all.add(i.add(j).add(k.add(l))).reduceLanes(VectorOperators.ADD);
  }

  /** Time of the best round, from the moment that all begin to the moment that all are done. */
  private double bestNanos(IntToDoubleFunction work) {
    long[] marks = new long[2 * ROUNDS + 1];
    int[] count = new int[1];
    CyclicBarrier barrier = new CyclicBarrier(threads, () -> marks[count[0]++] = System.nanoTime());
    Thread[] others = new Thread[threads - 1];
    for (int i = 0; i < others.length; i++) {
      int index = i + 1;
      others[i] = Thread.ofPlatform().start(() -> rounds(work, index, barrier));
    }
    rounds(work, 0, barrier);
    try {
      for (Thread other : others) {
        other.join();
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
    long best = Long.MAX_VALUE;
    for (int round = 0; round < ROUNDS; round++) {
      best = Math.min(best, marks[2 * round + 1] - marks[2 * round]);
    }
    return Math.max(1, best);
  }

  private void rounds(IntToDoubleFunction work, int index, CyclicBarrier barrier) {
    try {
      for (int round = 0; round < ROUNDS; round++) {
        barrier.await();
        if (Double.isNaN(work.applyAsDouble(index))) { // never, but so the result is of use
          throw new IllegalStateException("a probe computed with broken numbers");
        }
        barrier.await();
      }
    } catch (InterruptedException | BrokenBarrierException ended) {
      Thread.currentThread().interrupt();
    }
  }
}
