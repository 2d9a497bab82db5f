package io.verdier.engine.backend.cpu;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Gets the vector kernels compiled beside the first requests. Runs on a thread of its own and ends.
 *
 * <p>Before C2 has compiled it, a Vector API kernel makes an object of every vector and is a
 * hundred times slower than the plain loop; and C2 wants thousands of calls first. So the server
 * starts with the scalar kernels, whose loops are fast after milliseconds, while this thread calls
 * the vector kernels on dummy data until each takes less than {@value #NANOS_PER_VECTOR} ns per
 * vector operation: boxed it takes 50 and more, compiled less than 1. The moment of the change
 * depends on the clock, the answers do not, because both forms give the same bits. Where the Vector
 * API is never compiled well, the scalar kernels stay.
 */
final class KernelWarmup implements Runnable {
  private static final int NANOS_PER_VECTOR = 10;

  /** On two cores the kernels' compilation would double the time to the first answer. */
  private static final long DELAY_NANOS = 1_500_000_000;

  private static final int CALLS_MAX = 200_000;
  private static final int COLUMNS = 64;
  private static final int HEAD_DIM = 64;
  private static final int QUERIES = AttendWork.BLOCK;

  private final Consumer<Kernels> ready;
  private final Thread thread = new Thread(this, "verdier-kernel-warmup");
  private volatile boolean cancelled;

  /**
   * @param ready gets the vector kernels once they are fast
   */
  KernelWarmup(Consumer<Kernels> ready) {
    this.ready = ready;
  }

  void start() {
    thread.setDaemon(true);
    thread.start();
  }

  void cancel() {
    cancelled = true;
    LockSupport.unpark(thread);
  }

  @Override
  public void run() {
    long due = System.nanoTime() + DELAY_NANOS;
    for (long left = DELAY_NANOS; left > 0 && !cancelled; left = due - System.nanoTime()) {
      LockSupport.parkNanos(this, left);
    }
    try (Arena arena = Arena.ofConfined()) {
      VectorKernels kernels = new VectorKernels();
      for (Call call : calls(kernels, arena)) {
        if (!becomesFast(call)) {
          return;
        }
      }
      ready.accept(kernels);
      NativeMemory.warm(); // the KV cache will need it when it grows
    }
  }

  private boolean becomesFast(Call call) {
    for (int i = 0; i < CALLS_MAX && !cancelled; i++) {
      long start = System.nanoTime();
      call.kernel.run();
      long nanos = System.nanoTime() - start;
      if (nanos < (long) call.vectors * NANOS_PER_VECTOR) {
        return true;
      }
    }
    return false;
  }

  /** One kernel on dummy data, and how many vector operations it takes at 512 bits. */
  private record Call(int vectors, Runnable kernel) {}

  private static List<Call> calls(Kernels kernels, Arena arena) {
    TileWork tile = new TileWork();
    tile.weights = arena.allocate(2L * COLUMNS * PackedMatrix.TILE_ROWS * 2, 64);
    tile.columns = COLUMNS;
    tile.rows = TileWork.BLOCK;
    tile.inStride = COLUMNS;
    tile.in = new float[TileWork.BLOCK * COLUMNS];
    tile.blocks = tile.in;
    AttendWork attend = new AttendWork(QUERIES, HEAD_DIM);
    attend.storage = arena.allocate((long) HEAD_DIM * AttendWork.GROUP * 4, 64);
    float[] gate = new float[3 * 256];
    Arrays.fill(gate, 1f);
    return List.of(
        new Call(COLUMNS * 4, () -> kernels.pairsRow(tile, 0)),
        new Call(COLUMNS * 8, () -> kernels.pairsTwoTiles(tile)),
        new Call(COLUMNS * 10, () -> kernels.pairsRows4(tile, 0)),
        new Call(COLUMNS * 4, () -> kernels.unpack(tile, 0, COLUMNS)),
        new Call(COLUMNS * 26, () -> kernels.panelRows12(tile, 0, 0, COLUMNS)),
        new Call(COLUMNS * 10, () -> kernels.panelRows4(tile, 0, 0, COLUMNS)),
        new Call(HEAD_DIM * 9, () -> kernels.scores8(attend, 0, 0, 0)),
        new Call(160, () -> kernels.weights(attend, 0, AttendWork.SPAN, 1f)),
        new Call(16, () -> kernels.total(attend, 0, AttendWork.SPAN, 0.5f)),
        new Call(HEAD_DIM * 2, () -> kernels.values(attend, 0, 0, 0, 0, AttendWork.GROUP)),
        new Call(HEAD_DIM * 9, () -> kernels.values8(attend, 0, 0, 0, 0, AttendWork.GROUP)),
        new Call(16 * 3, () -> kernels.add(gate, 0, gate, 512, 256)),
        new Call(16 * 20, () -> kernels.gate(gate, 0, 256, gate, 512, 256)));
  }
}
