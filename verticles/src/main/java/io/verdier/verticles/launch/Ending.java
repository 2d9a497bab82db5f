package io.verdier.verticles.launch;

import io.verdier.conf.ServerConfig;
import io.vertx.core.Future;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * How the process ends: drained, and with a status of its own. Thread-safe.
 *
 * <p>The JVM would report 143 after SIGTERM. A server that drained ended as it was told to, so the
 * shutdown hook ends the process itself, with 0 unless something failed. Who signals again wants it
 * now.
 */
final class Ending {
  /** What drains longer than its deadline by so much hangs; the process ends without it. */
  private static final long HANG_MILLIS = 5_000;

  /** Closing sockets and freeing memory; every client has its last word by then. */
  private static final long CLOSE_MILLIS = 2_000;

  private final Server server;
  private final ServerConfig config;
  private volatile int status;
  private volatile boolean begun;
  private final AtomicBoolean asked = new AtomicBoolean();

  Ending(Server server, ServerConfig config) {
    this.server = server;
    this.config = config;
  }

  /** Whether the process is ending already. */
  boolean hasBegun() {
    return begun;
  }

  /**
   * Ends the process. On a thread of its own: the exit waits for the hook, which waits for event
   * loops.
   */
  void end(int exitStatus) {
    status = exitStatus;
    asked.set(true);
    new Thread(() -> System.exit(exitStatus), "exit").start();
  }

  /** The first signal ends the process, drained; a second one, or one while it ends, at once. */
  void onSignal() {
    if (asked.compareAndSet(false, true)) {
      end(status);
    } else {
      isDone(server.cut(), CLOSE_MILLIS);
      Runtime.getRuntime().halt(status);
    }
  }

  /** The shutdown hook: {@link #end} was called, or a signal came. Does not return. */
  void drain() {
    begun = true;
    if (!isDone(server.drain(), config.limits().drainTimeout().toMillis() + HANG_MILLIS)) {
      status = Command.FAILED;
    }
    isDone(server.close(), CLOSE_MILLIS);
    Runtime.getRuntime().halt(status);
  }

  private static boolean isDone(Future<?> future, long withinMillis) {
    CountDownLatch done = new CountDownLatch(1);
    future.onComplete(ignored -> done.countDown());
    try {
      return done.await(withinMillis, TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
