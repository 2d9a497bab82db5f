package io.verdier.engine.backend.cpu;

import io.verdier.engine.weights.ThreadPriority;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Compute threads that share the units of one job at a time. Owned by the executor thread, which
 * takes part as worker 0.
 *
 * <p>Units are claimed one by one from a counter rather than dealt out in halves: when something
 * else occupies a core, a fixed split waits a whole scheduler slice (8 ms measured) for the thread
 * that lost it, while here the others take over its units. Idle workers spin for {@value
 * #SPIN_NANOS} ns, because a step is a row of jobs of some ten microseconds, then park.
 *
 * <p>One word holds epoch, number of units and next unit. A claim is one atomic add; whoever gets
 * an index below the number of units in the word it read owns that unit, and the job cannot end,
 * nor its fields change, before the unit is done. So a worker that wakes late either gets a unit of
 * whatever job is under way or nothing, and there is no moment at which it could mix up two jobs.
 */
final class ComputePool implements AutoCloseable {
  static final int SPIN_NANOS = 50_000;
  private static final int INDEX_BITS = 22;
  private static final int UNITS_MAX = (1 << INDEX_BITS) - 4096; // room for vain claims
  private static final long INDEX_MASK = (1L << INDEX_BITS) - 1;

  /** Work in independent units. Which worker runs a unit must not show in the result. */
  interface Job {
    /**
     * @param unit index of the unit
     * @param worker index of the calling thread, for scratch memory
     */
    void run(int unit, int worker);
  }

  /** What threads do rather than nothing while they wait for units. */
  @FunctionalInterface
  interface Idling {
    Idling NONE = worker -> false;

    /**
     * A slice of it, of a microsecond or less.
     *
     * @return false if there is nothing left to do
     */
    boolean slice(int worker);
  }

  private final Worker[] workers;
  private final Idling idling;
  private final AtomicLong claims = new AtomicLong(); // epoch | units | next unit
  private final AtomicInteger remaining = new AtomicInteger();
  private Job job = (unit, worker) -> {}; // published by claims
  private volatile @Nullable Throwable failure;
  private volatile boolean closed;

  /**
   * @param threads compute threads, the caller's included, ≥ 1; with 1 nothing is started
   */
  ComputePool(int threads) {
    this(threads, Idling.NONE);
  }

  ComputePool(int threads, Idling idling) {
    this.idling = idling;
    ThreadPriority.addComputing(threads);
    workers = new Worker[threads - 1];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker(i + 1);
      workers[i].thread.start();
    }
  }

  int threads() {
    return workers.length + 1;
  }

  /** Runs all units and returns when they are done. */
  void run(Job next, int units) {
    ThreadPriority.computes();
    if (units <= 1 || workers.length == 0) {
      runAlone(next, units);
      return;
    }
    if (units > UNITS_MAX) {
      throw new IllegalStateException(units + " units; a job has at most " + UNITS_MAX);
    }
    job = next;
    remaining.set(units);
    long epoch = (claims.get() >>> (2 * INDEX_BITS)) + 1;
    claims.set(epoch << (2 * INDEX_BITS) | (long) units << INDEX_BITS);
    for (Worker worker : workers) {
      worker.wake();
    }
    claimUnits(0);
    awaitOthers();
    Throwable thrown = failure;
    if (thrown != null) {
      failure = null;
      throw new IllegalStateException("a compute thread failed", thrown);
    }
  }

  /**
   * Runs all units on the calling thread: for jobs that are over before another thread is awake.
   */
  void runAlone(Job next, int units) {
    for (int unit = 0; unit < units; unit++) {
      next.run(unit, 0);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      ThreadPriority.addComputing(-threads());
    }
    closed = true;
    for (Worker worker : workers) {
      LockSupport.unpark(worker.thread);
    }
  }

  /** Claims units until there are none; true if it got any. */
  private boolean claimUnits(int worker) {
    boolean any = false;
    while (hasUnit(claims.get())) { // a look first, so that vain claims stay few
      long claim = claims.getAndIncrement();
      if (!hasUnit(claim)) {
        break;
      }
      any = true;
      try {
        job.run((int) (claim & INDEX_MASK), worker);
      } catch (Throwable t) {
        failure = t;
      } finally {
        remaining.getAndDecrement();
      }
    }
    return any;
  }

  private static boolean hasUnit(long claim) {
    return (claim & INDEX_MASK) < (claim >>> INDEX_BITS & INDEX_MASK);
  }

  private void awaitOthers() {
    int spins = 0;
    while (remaining.get() > 0) {
      if (idling.slice(0)) {
        continue;
      }
      if (++spins > 20_000) {
        LockSupport.parkNanos(SPIN_NANOS); // a worker lost its core in the middle of a unit
      } else {
        Thread.onSpinWait();
      }
    }
  }

  /** One thread. Owned by itself; {@code parked} is its handshake with the executor thread. */
  private final class Worker implements Runnable {
    private final int index;
    private final Thread thread;
    private final AtomicBoolean parked = new AtomicBoolean();

    Worker(int index) {
      this.index = index;
      this.thread = new Thread(this, "verdier-compute-" + index);
      thread.setDaemon(true);
    }

    void wake() {
      if (parked.get()) {
        LockSupport.unpark(thread);
      }
    }

    @Override
    public void run() {
      long idleSince = System.nanoTime();
      while (!closed) {
        if (claimUnits(index) || idling.slice(index)) {
          idleSince = System.nanoTime();
        } else if (System.nanoTime() - idleSince < SPIN_NANOS) {
          Thread.onSpinWait();
        } else {
          park();
          idleSince = System.nanoTime();
        }
      }
    }

    /** Says that it sleeps before it looks a last time: so either it sees the job or is woken. */
    private void park() {
      parked.set(true);
      while (!closed && !hasUnit(claims.get())) {
        LockSupport.park(this);
      }
      parked.set(false);
    }
  }
}
