package io.verdier.engine.model;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.RankFailure;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A thread for each rank but the first, whose thread is the caller's. Owned by the thread that runs
 * the first rank.
 *
 * <p>Ranks cannot step on their own: what one of them computes, the others wait for in the middle
 * of a layer. So there is one call at a time, all ranks take part in it, and it returns when the
 * last of them has. If one throws, none of the others may wait for it: the meeting is aborted, for
 * good, since nobody can say what the ranks still agree on.
 */
final class RankThreads {
  private static final Logger LOG = LoggerFactory.getLogger(RankThreads.class);
  private static final long END_SECONDS = 5;

  private final Meeting meeting;
  private final List<ExecutorService> threads = new ArrayList<>(); // of ranks 1..

  RankThreads(int size) {
    meeting = new Meeting(size);
    for (int i = 1; i < size; i++) {
      String name = "verdier-rank-" + i;
      threads.add(
          Executors.newSingleThreadExecutor(
              work -> {
                Thread thread = new Thread(work, name);
                thread.setDaemon(true);
                return thread;
              }));
    }
  }

  Meeting meeting() {
    return meeting;
  }

  /**
   * Runs something on every rank's thread.
   *
   * @return the results by rank
   * @throws RankFailure if it threw on any of them, now or in an earlier call
   */
  <T> List<T> on(Function<Rank, T> work) {
    meeting.requireWhole();
    List<Future<T>> others = new ArrayList<>(threads.size());
    for (int i = 0; i < threads.size(); i++) {
      Rank rank = new Rank(i + 1, meeting.size());
      others.add(threads.get(i).submit(() -> guarded(rank, work)));
    }
    List<T> results = new ArrayList<>(meeting.size());
    try {
      results.add(guarded(new Rank(0, meeting.size()), work));
    } catch (Throwable thrown) {
      LOG.debug("The first rank failed", thrown); // which the meeting will say
    }
    for (Future<T> other : others) {
      join(other, results);
    }
    meeting.requireWhole();
    return results;
  }

  /** The same without results. */
  void each(Consumer<Rank> work) {
    on(
        rank -> {
          work.accept(rank);
          return rank;
        });
  }

  private <T> T guarded(Rank rank, Function<Rank, T> work) {
    try {
      return work.apply(rank);
    } catch (Throwable thrown) {
      if (meeting.abort(thrown)) { // at once: how the others fare may take long to say
        LOG.warn("{} of the model failed: {}", rank, thrown.toString());
      }
      throw thrown;
    }
  }

  /** Even when interrupted: who leaves early would free what the others still use. */
  private static <T> void join(Future<T> other, List<T> results) {
    boolean interrupted = false;
    while (true) {
      try {
        results.add(other.get());
        break;
      } catch (ExecutionException thrown) {
        LOG.debug("Another rank failed", thrown);
        break;
      } catch (InterruptedException later) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Closes something of every rank on its thread, each whatever became of the others, also when the
   * ranks have failed. Waits for them, for a while.
   */
  void close(Consumer<Rank> part) {
    List<Future<?>> others = new ArrayList<>(threads.size());
    for (int i = 0; i < threads.size(); i++) {
      Rank rank = new Rank(i + 1, meeting.size());
      others.add(threads.get(i).submit(() -> closing(rank, part)));
    }
    closing(new Rank(0, meeting.size()), part);
    for (Future<?> other : others) {
      try {
        other.get(END_SECONDS, TimeUnit.SECONDS);
      } catch (TimeoutException | ExecutionException late) {
        LOG.warn("A part of a rank was not closed: {}", late.toString());
      } catch (InterruptedException interrupted) {
        Thread.currentThread().interrupt(); // the others are told already
      }
    }
  }

  private static void closing(Rank rank, Consumer<Rank> part) {
    try {
      part.accept(rank);
    } catch (RuntimeException failed) { // of a device that failed before, most likely
      LOG.debug("{} did not close in order", rank, failed);
    }
  }

  /**
   * Ends the threads.
   *
   * @param last what each of them does before it ends
   */
  void end(Consumer<Rank> last) {
    for (int i = 0; i < threads.size(); i++) {
      Rank rank = new Rank(i + 1, meeting.size());
      threads.get(i).execute(() -> closing(rank, last));
      threads.get(i).shutdown();
    }
    for (ExecutorService thread : threads) {
      try {
        if (!thread.awaitTermination(END_SECONDS, TimeUnit.SECONDS)) {
          LOG.warn("A rank of the model did not end within {} s", END_SECONDS);
        }
      } catch (InterruptedException interrupted) {
        Thread.currentThread().interrupt(); // the others are told already
      }
    }
  }
}
