package io.verdier.cache.artifact;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.StampedLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who uses and who changes an entry of the cache directory: among this process's threads by a lock
 * in memory, among processes by a lock on a file, which the system drops when a process dies.
 * Thread-safe.
 *
 * <p>The files of the locks are never deleted: one that another process has open would lock
 * nothing.
 *
 * <p>Locks on files are the process's: it loses one as soon as any of its descriptors of the file
 * is closed, and a second attempt to lock it is an error. So there is one object for a directory in
 * the whole process, however many stores use it, and the table of them is static.
 */
final class EntryLocks {
  private static final Logger LOG = LoggerFactory.getLogger(EntryLocks.class);
  private static final long MOMENT_MILLIS = 50;

  private static final Map<Path, EntryLocks> OF_PROCESS = new ConcurrentHashMap<>();

  private final Path directory;
  private final Map<String, Entry> entries = new HashMap<>(); // under the object's lock
  private final Map<String, Long> reserved = new HashMap<>(); // by entry, under its own lock

  private EntryLocks(Path directory) {
    this.directory = directory;
  }

  /** Those of a directory, which need not exist yet; by whatever links it is named. */
  static EntryLocks of(Path directory) {
    return OF_PROCESS.computeIfAbsent(real(directory), EntryLocks::new);
  }

  private static Path real(Path directory) {
    Path absolute = directory.toAbsolutePath().normalize();
    for (Path there = absolute; there != null; there = there.getParent()) {
      try {
        return there.toRealPath().resolve(there.relativize(absolute));
      } catch (IOException notThere) {
        // It is to be made, with whatever lies below it; its parent may be there.
      }
    }
    return absolute;
  }

  /** Bytes that are reserved for entries on their way; used under its own lock. */
  Map<String, Long> reserved() {
    return reserved;
  }

  /** Gives a lock back; by any thread, once. */
  @FunctionalInterface
  interface Held extends AutoCloseable {
    @Override
    void close();
  }

  /** The lock of one entry. Thread-safe. */
  private static final class Entry {
    private final Path file;
    private final StampedLock threads = new StampedLock(); // unlike others not owned by a thread
    private int readers;
    private @Nullable FileLock lock; // shared while there are readers, else exclusive or none

    Entry(Path file) {
      this.file = file;
    }

    private FileChannel open() throws IOException {
      Files.createDirectories(PartialFile.parent(file));
      return FileChannel.open(
          file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
    }

    private synchronized void lockFile(boolean shared) throws IOException {
      readers++;
      if (lock != null) {
        return;
      }
      FileChannel channel = open();
      try {
        FileLock taken = channel.tryLock(0, Long.MAX_VALUE, shared);
        if (taken == null) {
          LOG.info("Waiting for another process that uses {}", file.getFileName());
          taken = channel.lock(0, Long.MAX_VALUE, shared);
        }
        lock = taken;
      } catch (IOException | RuntimeException e) {
        readers--;
        channel.close();
        throw e;
      }
    }

    private synchronized boolean tryLockFile() throws IOException {
      FileChannel channel = open();
      try {
        lock = channel.tryLock();
      } finally {
        if (lock == null) {
          channel.close();
        }
      }
      if (lock == null) {
        return false;
      }
      readers++;
      return true;
    }

    private synchronized void unlockFile() {
      readers--;
      FileLock held = lock;
      if (readers > 0 || held == null) {
        return;
      }
      lock = null;
      try {
        held.channel().close(); // drops the lock, too
      } catch (IOException ignored) {
        // The system drops it at the latest when the process ends.
      }
    }
  }

  private synchronized Entry entry(String name) {
    return entries.computeIfAbsent(name, it -> new Entry(directory.resolve(it + ".lock")));
  }

  /** While it is held nobody changes the entry. */
  Held use(String name) throws IOException {
    Entry entry = entry(name);
    long stamp = entry.threads.readLock();
    try {
      entry.lockFile(true);
    } catch (IOException | RuntimeException e) {
      entry.threads.unlockRead(stamp);
      throw e;
    }
    return () -> {
      entry.unlockFile();
      entry.threads.unlockRead(stamp);
    };
  }

  /** While it is held nobody else uses or changes the entry. */
  Held change(String name) throws IOException {
    Entry entry = entry(name);
    long stamp = entry.threads.writeLock();
    try {
      entry.lockFile(false);
    } catch (IOException | RuntimeException e) {
      entry.threads.unlockWrite(stamp);
      throw e;
    }
    return () -> {
      entry.unlockFile();
      entry.threads.unlockWrite(stamp);
    };
  }

  /** As {@link #change}, but without waiting; empty: somebody uses it. */
  Optional<Held> tryChange(String name) throws IOException {
    Entry entry = entry(name);
    return changing(entry, entry.threads.tryWriteLock());
  }

  /**
   * As {@link #change}, but waits a moment only. Empty: somebody uses it, perhaps for as long as a
   * process lives, and perhaps because it was changed meanwhile as it was to be changed now: look
   * again.
   */
  Optional<Held> changeSoon(String name) throws IOException {
    Entry entry = entry(name);
    try {
      long stamp = entry.threads.tryWriteLock(MOMENT_MILLIS, TimeUnit.MILLISECONDS);
      Optional<Held> held = changing(entry, stamp);
      if (stamp != 0 && held.isEmpty()) {
        Thread.sleep(MOMENT_MILLIS); // another process has it, for which nobody waits here
      }
      return held;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while others use " + name);
    }
  }

  /**
   * @param stamp of the entry's write lock; 0: it was not to be had
   */
  private static Optional<Held> changing(Entry entry, long stamp) throws IOException {
    if (stamp == 0) {
      return Optional.empty();
    }
    boolean locked = false;
    try {
      locked = entry.tryLockFile();
    } finally {
      if (!locked) {
        entry.threads.unlockWrite(stamp);
      }
    }
    if (!locked) {
      return Optional.empty();
    }
    return Optional.of(
        () -> {
          entry.unlockFile();
          entry.threads.unlockWrite(stamp);
        });
  }
}
