package io.verdier.cache.artifact;

import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Files on the local disk. Thread-safe. While it is open they stay as they are: nobody deletes or
 * changes them, in this process or another.
 */
public final class Artifact implements AutoCloseable {
  private static final EntryLocks.Held NOTHING = () -> {};

  private final String name;
  private final Path directory;
  private final AtomicReference<EntryLocks.Held> pin;

  Artifact(String name, Path directory, EntryLocks.Held pin) {
    this.name = name;
    this.directory = directory;
    this.pin = new AtomicReference<>(pin);
  }

  /** One that nobody but its owner deletes. */
  static Artifact unpinned(String name, Path directory) {
    return new Artifact(name, directory, NOTHING);
  }

  /** Where it came from, as people may read it. */
  public String name() {
    return name;
  }

  /** Holds all files that were chosen, complete and verified. */
  public Path directory() {
    return directory;
  }

  /** The files may go when the disk's quota asks for it. */
  @Override
  public void close() {
    pin.getAndSet(NOTHING).close();
  }
}
