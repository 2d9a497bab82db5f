package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Probe;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The limits of this machine for the kernels of one level: reading memory in order, and the
 * instruction that products in the weights' arithmetic consist of. Owned by the thread that owns
 * the backend.
 */
final class NativeProbe implements Probe {
  /** What is measured; codes are those of {@code probe.c}. */
  enum Kind {
    READ(0),
    DOT_BF16(1),
    DOT_INT8(2),
    FMA(3),
    TILE_BF16(4),
    TILE_INT8(5);

    private final int code;

    Kind(int code) {
      this.code = code;
    }
  }

  private static final int FIELDS = 5;

  /** More than caches hold. */
  private static final long READ_BYTES = 1L << 30;

  private static final long READ_UNIT = 256 << 10;
  private static final int COMPUTE_ROUNDS = 20_000;
  private static final int UNITS_PER_THREAD = 8;
  private static final int TRIES = 8;

  /** Operations of a round: chains, or tiles, times lanes times products times 2. */
  private static final long FMA_OPERATIONS = 12 * 16 * 2;

  private final KernelLibrary library;
  private final WeightFormat format;
  private final ComputePool pool;

  NativeProbe(KernelLibrary library, WeightFormat format, ComputePool pool) {
    this.library = library;
    this.format = format;
    this.pool = pool;
  }

  @Override
  public Rates measure() {
    return new Rates(readGbPerS(), dotGops());
  }

  /** 10^9 operations a second of the instruction that products consist of. */
  double dotGops() {
    boolean tiles = library.level() == KernelLevel.AMX;
    return gops(
        switch (format.operand()) {
          case BF16 -> tiles ? Kind.TILE_BF16 : Kind.DOT_BF16;
          case INT8 -> tiles ? Kind.TILE_INT8 : Kind.DOT_INT8;
        });
  }

  /** 10^9 bytes a second that all threads read together. */
  double readGbPerS() {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment data = NativeMemory.allocate(READ_BYTES, arena);
      data.fill((byte) 1); // brings the pages
      double seconds = best(Kind.READ, data.address(), (int) (READ_BYTES / READ_UNIT), arena);
      return READ_BYTES / seconds / 1e9;
    }
  }

  /** 10^9 operations a second that all threads do together. */
  double gops(Kind kind) {
    long perRound =
        switch (kind) {
          case READ -> throw new IllegalArgumentException("reading does no operations");
          case FMA -> FMA_OPERATIONS;
          case DOT_BF16 -> 2 * FMA_OPERATIONS;
          case DOT_INT8 -> 4 * FMA_OPERATIONS;
          case TILE_BF16 -> 4 * 16 * 16 * 32 * 2;
          case TILE_INT8 -> 4 * 16 * 16 * 64 * 2;
        };
    int units = pool.threads() * UNITS_PER_THREAD;
    try (Arena arena = Arena.ofShared()) {
      return (double) perRound * COMPUTE_ROUNDS * units / best(kind, 0, units, arena) / 1e9;
    }
  }

  /** Seconds of the best of some tries: what else runs on the machine can only take from it. */
  private double best(Kind kind, long data, int units, Arena arena) {
    MemorySegment sink = arena.allocate(pool.threads() * 64L, 64);
    NativeJob job = new NativeJob(library.probe, FIELDS, arena);
    job.args
        .start()
        .put(data)
        .put(READ_UNIT)
        .put((long) COMPUTE_ROUNDS)
        .put((long) kind.code)
        .put(sink.address())
        .end();
    long best = Long.MAX_VALUE;
    for (int i = 0; i < TRIES; i++) {
      long start = System.nanoTime();
      pool.run(job, units);
      best = Math.min(best, System.nanoTime() - start);
    }
    return best / 1e9;
  }
}
