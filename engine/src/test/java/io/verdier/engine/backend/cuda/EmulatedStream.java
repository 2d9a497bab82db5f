package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceException.Aftermath;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The main queue of an emulated device. Owned by one thread; thread-safe where the device works
 * beside it.
 */
final class EmulatedStream {
  /** When what is queued runs. */
  enum Pace {
    /** When it is queued. */
    AT_ONCE,
    /** When somebody waits for it. */
    LATE,
    /** On a thread that is the device. What throws there has the device fail for good. */
    BESIDE
  }

  private static final long END_MILLIS = 30_000;

  private final Pace pace;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition news = lock.newCondition();
  private final Deque<Runnable> waiting = new ArrayDeque<>(); // guarded, as what follows
  private long queued; // ever; only its owner looks at it
  private long run; // of those
  private @Nullable Throwable fault;
  private boolean closed;
  private final @Nullable Thread device;

  EmulatedStream(Pace pace) {
    this.pace = pace;
    device = pace == Pace.BESIDE ? new Thread(this::work, "emulated-device") : null;
    if (device != null) {
      device.setDaemon(true);
      device.start();
    }
  }

  /** Whether nothing is ever queued. */
  boolean isAtOnce() {
    return pace == Pace.AT_ONCE;
  }

  /** Whether the device works by itself. */
  boolean isBeside() {
    return pace == Pace.BESIDE;
  }

  void add(Runnable work) {
    if (pace == Pace.AT_ONCE) {
      work.run();
      return;
    }
    locked(
        () -> {
          requireNoFault();
          waiting.add(work);
          queued++;
        });
  }

  /** How many pieces of work were queued so far, none where they run at once. */
  long queued() {
    return queued;
  }

  /** Waits until so many pieces of work have run. */
  void await(long number) {
    if (pace == Pace.LATE) {
      while (run < number) {
        run++;
        waiting.remove().run();
      }
      return;
    }
    locked(
        () -> {
          while (run < number && fault == null) {
            news.awaitUninterruptibly();
          }
          requireNoFault();
        });
  }

  private void work() {
    for (Runnable next = next(); next != null; next = next()) {
      try {
        next.run();
        locked(() -> run++);
      } catch (Throwable failed) {
        locked(() -> fault = failed);
      }
    }
  }

  /** What runs next; null once nothing ever will. */
  private @Nullable Runnable next() {
    lock.lock();
    try {
      while (waiting.isEmpty() && !closed && fault == null) {
        news.awaitUninterruptibly();
      }
      return closed || fault != null ? null : waiting.remove();
    } finally {
      lock.unlock();
    }
  }

  private void locked(Runnable change) {
    lock.lock();
    try {
      change.run();
      news.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void requireNoFault() {
    if (fault != null) {
      throw new CudaException("a kernel failed: " + fault, Aftermath.LOST);
    }
  }

  /** Drops what has not run. */
  void close() {
    locked(
        () -> {
          closed = true;
          waiting.clear();
        });
    Thread last = device;
    if (last == null) {
      return;
    }
    try {
      last.join(END_MILLIS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
    if (last.isAlive()) {
      throw new IllegalStateException("an emulated device is still at work");
    }
  }
}
