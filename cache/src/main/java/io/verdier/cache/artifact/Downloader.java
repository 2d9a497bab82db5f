package io.verdier.cache.artifact;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Fetches files in ranges over several connections. Thread-safe; each call has virtual threads of
 * its own, which end with it.
 *
 * <p>All ranges of all files wait in one queue, in the files' order: so connections are busy to the
 * end, and still the first file is the first to be there. A range that breaks goes on where it
 * broke. A file is verified by the thread that wrote its last byte, and has its name after that.
 */
final class Downloader {
  private final Settings settings;
  private final Retry retry;
  private final DownloadProgress progress;

  /**
   * How much at a time.
   *
   * @param streams connections of a download
   * @param rangeBytes most that one request asks for
   * @param entryBytes after so many the journal learns of them: what a killed process loses for
   *     each connection
   * @param nanos clock for the pace
   */
  record Settings(int streams, long rangeBytes, int entryBytes, LongSupplier nanos) {
    static Settings standard(int streams) {
      return new Settings(streams, 32 << 20, 4 << 20, System::nanoTime);
    }
  }

  /**
   * A file to fetch.
   *
   * @param partial where its bytes gather
   */
  record Wanted(RemoteFile file, Path partial, Arrival arrival) {}

  /** Gives a complete, verified file its name. */
  @FunctionalInterface
  interface Arrival {
    void publish(PartialFile partial) throws IOException;
  }

  Downloader(Settings settings, Retry retry, DownloadProgress progress) {
    this.settings = settings;
    this.retry = retry;
    this.progress = progress;
  }

  Retry retry() {
    return retry;
  }

  /**
   * Fetches all of them; returns when the last one has its name.
   *
   * @throws ArtifactException if one cannot be had; what was fetched of it stays for another try
   */
  void fetch(Source source, List<Wanted> wanted, Path directory) {
    List<Transfer> transfers = new ArrayList<>();
    try {
      long missing = 0;
      Meter meter = new Meter(source.shown(), total(wanted), progress);
      for (Wanted one : wanted) {
        Transfer transfer = new Transfer(source, one, settings, retry, meter);
        transfers.add(transfer);
        missing += transfer.missing();
      }
      DiskFailure.requireSpace(source.shown(), directory, missing);
      run(transfers);
    } catch (IOException failed) {
      throw DiskFailure.of(source.shown(), directory, failed);
    } finally {
      transfers.forEach(Transfer::close);
    }
  }

  private static long total(List<Wanted> wanted) {
    return wanted.stream().mapToLong(one -> one.file.size()).sum();
  }

  /** Bytes of a whole download. Thread-safe: a counter that all its threads add to. */
  static final class Meter {
    private final String artifact;
    private final long total;
    private final DownloadProgress progress;
    private final AtomicLong done = new AtomicLong();

    Meter(String artifact, long total, DownloadProgress progress) {
      this.artifact = artifact;
      this.total = total;
      this.progress = progress;
    }

    void add(long bytes) {
      progress.onBytes(artifact, done.addAndGet(bytes), total);
    }
  }

  private void run(List<Transfer> transfers) throws IOException {
    Queue<Transfer.Job> queue = new ConcurrentLinkedQueue<>();
    for (Transfer transfer : transfers) {
      queue.addAll(transfer.jobs());
    }
    int threads = Math.clamp(queue.size(), 1, settings.streams);
    List<Future<?>> workers = new ArrayList<>();
    try (ExecutorService pool =
        Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("download-", 0).factory())) {
      Failure failure = new Failure(pool);
      try {
        for (int i = 0; i < threads; i++) {
          workers.add(pool.submit(() -> work(queue, failure)));
        }
        pool.shutdown();
      } catch (RejectedExecutionException failedAlready) {
        // The first threads ended it before the last began.
      }
      await(workers, pool);
      failure.rethrow();
    }
  }

  private static void work(Queue<Transfer.Job> queue, Failure failure) {
    try {
      for (Transfer.Job job = queue.poll(); job != null && failure.isAbsent(); job = queue.poll()) {
        queue.addAll(job.run());
      }
    } catch (IOException | RuntimeException | Error e) {
      failure.found(e);
    }
  }

  private static void await(List<Future<?>> workers, ExecutorService pool) {
    try {
      for (Future<?> worker : workers) {
        worker.get();
      }
    } catch (InterruptedException interrupted) {
      pool.shutdownNow();
      Thread.currentThread().interrupt();
      throw new ArtifactException("the download was stopped", interrupted);
    } catch (ExecutionException impossible) { // workers catch everything
      throw new IllegalStateException(impossible);
    }
  }

  /** The first failure of a download; ends all its threads. Thread-safe. */
  private static final class Failure {
    private final ExecutorService pool;
    private volatile @Nullable Throwable first;

    Failure(ExecutorService pool) {
      this.pool = pool;
    }

    boolean isAbsent() {
      return first == null;
    }

    synchronized void found(Throwable cause) {
      if (first == null) {
        first = cause;
        pool.shutdownNow();
      }
    }

    void rethrow() throws IOException {
      switch (first) {
        case null -> {}
        case IOException disk -> throw disk;
        case RuntimeException e -> throw e;
        case Error e -> throw e;
        default -> throw new IllegalStateException(first);
      }
    }
  }
}
