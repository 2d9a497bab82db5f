package io.verdier.engine.backend;

import io.verdier.cache.host.DiskDone;
import io.verdier.cache.host.DiskFile;
import io.verdier.cache.host.DiskWork;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Moves blocks between slots of host memory and the disk. Thread-safe: whoever asks holds the slots
 * that a {@link DiskWork} names, and memory is not freed while any is under way.
 */
public final class DiskTier implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DiskTier.class);

  private final HostBlocks host;
  private final DiskFile file;
  private final ReadWriteLock open = new ReentrantReadWriteLock(); // read: memory is used
  private boolean closed; // guarded by it
  private final LongAdder readNanos = new LongAdder();

  /**
   * @param host stays the caller's, and is to be closed behind this
   * @param file closed with this
   */
  public DiskTier(HostBlocks host, DiskFile file) {
    this.host = host;
    this.file = file;
  }

  public DiskFile file() {
    return file;
  }

  /**
   * Does some work; the thread waits for the disk. Always comes back, for somebody waits for the
   * answer. After the end nothing is done.
   */
  public DiskDone run(DiskWork work) {
    open.readLock().lock();
    try {
      return new DiskDone(work.id(), !closed && isDone(work));
    } catch (RuntimeException bug) {
      LOG.error("The disk tier could not {} a block", work.kind(), bug);
      return new DiskDone(work.id(), false);
    } finally {
      open.readLock().unlock();
    }
  }

  private boolean isDone(DiskWork work) {
    return switch (work.kind()) {
      case READ -> {
        long start = System.nanoTime();
        boolean good = file.read(work.diskSlot(), work.name(), pieces(work));
        readNanos.add(System.nanoTime() - start);
        yield good;
      }
      case WRITE -> file.write(work.diskSlot(), work.name(), pieces(work));
      case ERASE -> isErased(work.diskSlot());
    };
  }

  private MemorySegment[] pieces(DiskWork work) {
    return host.pieces(work.hostSlot()).toArray(MemorySegment[]::new);
  }

  private boolean isErased(int slot) {
    try {
      file.erase(slot);
      return true;
    } catch (IOException failed) {
      return false;
    }
  }

  /** Time that reading has taken so far. */
  public long readNanos() {
    return readNanos.sum();
  }

  /** Waits for what is under way. */
  @Override
  public void close() {
    open.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        file.close();
      }
    } finally {
      open.writeLock().unlock();
    }
  }
}
