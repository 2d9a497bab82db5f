package io.verdier.verticles.cache;

import java.time.Duration;

/**
 * Interrupts the thread that made it when some time is over, unless it was closed before.
 * Thread-safe: a thread of its own waits.
 */
final class Deadline implements AutoCloseable {
  private final Thread worker = Thread.currentThread();
  private final Thread timer;
  private boolean isOver; // guarded by this, as is the next
  private boolean isClosed;

  Deadline(Duration time) {
    timer = Thread.ofVirtual().name("deadline").start(() -> end(time));
  }

  private void end(Duration time) {
    try {
      Thread.sleep(time);
    } catch (InterruptedException closed) {
      return;
    }
    synchronized (this) {
      if (!isClosed) {
        isOver = true;
        worker.interrupt();
      }
    }
  }

  synchronized boolean isOver() {
    return isOver;
  }

  /** By the same thread, which is not interrupted afterwards. */
  @Override
  public void close() {
    timer.interrupt();
    synchronized (this) {
      isClosed = true;
      if (isOver) {
        Thread.interrupted();
      }
    }
  }
}
