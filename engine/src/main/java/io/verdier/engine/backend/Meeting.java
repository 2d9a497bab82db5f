package io.verdier.engine.backend;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Where the ranks of one process wait for each other and show each other what they have.
 * Thread-safe: each rank calls it from its own thread, {@link #abort} comes from any.
 *
 * <p>Ranks are threads of one process, so what one writes before it {@linkplain #arrive arrives},
 * every other may read after. A step meets a few times per layer, each time some microseconds after
 * the last: who waits spins for {@value #SPIN_NANOS} ns, then parks, as the compute pool's threads
 * do and for the same reason. Where there are fewer processors than ranks nobody spins: the one who
 * is waited for needs the processor.
 *
 * <pre>
 *   round    0 ─── all have arrived ───► 1 ─── all have arrived ───► 2       counts up
 *   offers   [ rank 0's | rank 1's | … ]                                     good from one to the next
 * </pre>
 */
public final class Meeting {
  private static final int SPIN_NANOS = 50_000;

  /** A parked rank looks for itself after so long, should nobody wake it. */
  private static final long PARK_NANOS = 100_000_000;

  private final int size;
  private final boolean spins;
  private final AtomicInteger missing;
  private final AtomicInteger round = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private final AtomicReferenceArray<@Nullable Object> offers;
  private final AtomicReferenceArray<@Nullable Thread> parked;
  private final List<Runnable> onAbort = new ArrayList<>(); // guarded by itself

  /**
   * @param size number of ranks
   */
  public Meeting(int size) {
    this.size = size;
    spins = Runtime.getRuntime().availableProcessors() >= size;
    missing = new AtomicInteger(size);
    offers = new AtomicReferenceArray<>(size);
    parked = new AtomicReferenceArray<>(size);
  }

  public int size() {
    return size;
  }

  /**
   * Waits until every rank has arrived.
   *
   * @throws RankFailure once a rank has failed
   */
  public void arrive(Rank rank) {
    requireWhole();
    int current = round.get();
    if (missing.decrementAndGet() == 0) {
      missing.set(size); // before the round: nobody arrives for the next one earlier
      round.set(current + 1);
      wakeAll();
    } else {
      await(rank, current);
    }
    requireWhole();
  }

  /**
   * As {@link #arrive}, and shows the others an object, until they meet again.
   *
   * @param offer to be read with {@link #offer}
   */
  public void arrive(Rank rank, Object offer) {
    offers.set(rank.index(), offer);
    arrive(rank);
  }

  /** What a rank showed when all met last. */
  public Object offer(int rank) {
    Object offer = offers.get(rank);
    if (offer == null) {
      throw new IllegalStateException("rank " + rank + " has offered nothing");
    }
    return offer;
  }

  /**
   * Ends all waits, now and later: a rank cannot go on. The first reason counts.
   *
   * @return whether this is the first one
   */
  public boolean abort(Throwable reason) {
    if (!failure.compareAndSet(null, reason)) {
      return false;
    }
    wakeAll();
    List<Runnable> others;
    synchronized (onAbort) {
      others = List.copyOf(onAbort);
    }
    others.forEach(Runnable::run);
    return true;
  }

  /** Has something else stop waiting too when the ranks do; at once if they did already. */
  public void onAbort(Runnable stop) {
    synchronized (onAbort) {
      onAbort.add(stop);
    }
    if (failure.get() != null) {
      stop.run();
    }
  }

  /**
   * @throws RankFailure if a rank has failed
   */
  public void requireWhole() {
    Throwable reason = failure.get();
    if (reason != null) {
      throw new RankFailure("a rank of the model failed: " + reason, reason);
    }
  }

  private void await(Rank rank, int current) {
    long spinUntil = System.nanoTime() + SPIN_NANOS;
    while (spins && isOn(current)) {
      if (System.nanoTime() - spinUntil > 0) {
        break;
      }
      Thread.onSpinWait();
    }
    if (!isOn(current)) {
      return;
    }
    parked.set(rank.index(), Thread.currentThread()); // then looks again: seen, or woken
    while (isOn(current)) {
      LockSupport.parkNanos(this, PARK_NANOS);
    }
    parked.set(rank.index(), null);
  }

  private boolean isOn(int current) {
    return round.get() == current && failure.get() == null;
  }

  private void wakeAll() {
    for (int i = 0; i < size; i++) {
      Thread thread = parked.get(i);
      if (thread != null) {
        LockSupport.unpark(thread);
      }
    }
  }
}
