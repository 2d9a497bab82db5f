package io.verdier.engine.backend.cuda;

import java.lang.foreign.MemorySegment;

/**
 * A queue beside the device's main one, for copies: engines of their own make them while kernels
 * run. Owned by the executor thread.
 */
interface CopyQueue extends AutoCloseable {

  /**
   * Pieces of equal size that lie apart on the device and one behind the other on the host.
   *
   * @param stride bytes between the beginnings of two on the device, a multiple of {@code bytes}
   */
  record Pieces(int count, long bytes, long stride) {}

  /** What is queued here from now on waits for what is in the main queue now. */
  void followMain();

  /** What is queued in the main queue from now on waits for what has been marked. */
  void holdMain(Mark mark);

  /** Queues a copy to page-locked memory, which is the device's until it has run. */
  void copyOut(MemorySegment to, long from, Pieces pieces);

  /** Queues a copy from page-locked memory, which must stay as it is until it has run. */
  void copyIn(long to, MemorySegment from, Pieces pieces);

  /** The same of one piece, however long. */
  void copyIn(long to, MemorySegment from, long bytes);

  /** A moment of this queue: when all that is queued now has run. */
  Mark mark();

  /** To be released once, after which it is of no more use. */
  interface Mark {

    boolean isPast();

    void await();

    void release();
  }

  /** Waits for all that is queued. */
  @Override
  void close();
}
