package io.verdier.cache.host;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Who has a directory of blocks: one at a time, of all processes and of all models of one.
 * Thread-safe; given back once.
 *
 * <p>The system keeps such a lock for the process, and drops it as soon as any of the process's
 * descriptors of the file is closed. So a file that this process has locked is never opened again
 * to see whether it is: what it has is written down first, in the one table of the process. Nor is
 * it given a time, for that opens it too.
 */
final class DirectoryLock implements Closeable {
  static final String FILE = "lock";

  private static final Set<Path> OF_PROCESS = ConcurrentHashMap.newKeySet();

  private final Path directory;
  private final FileChannel channel;

  private DirectoryLock(Path directory, FileChannel channel) {
    this.directory = directory;
    this.channel = channel;
  }

  /**
   * Takes a directory, which is there, if nobody has it.
   *
   * @return empty: a process has it, maybe this one
   */
  static Optional<DirectoryLock> tryTake(Path directory) throws IOException {
    Path real = directory.toRealPath();
    if (!OF_PROCESS.add(real)) {
      return Optional.empty();
    }
    FileChannel channel = null;
    boolean isTaken = false;
    try {
      channel =
          FileChannel.open(real.resolve(FILE), StandardOpenOption.WRITE, StandardOpenOption.CREATE);
      isTaken = channel.tryLock() != null; // released with its channel
      return isTaken ? Optional.of(new DirectoryLock(real, channel)) : Optional.empty();
    } finally {
      if (!isTaken) {
        release(real, channel);
      }
    }
  }

  private static void release(Path real, @Nullable FileChannel channel) throws IOException {
    try {
      if (channel != null) {
        channel.close();
      }
    } finally {
      OF_PROCESS.remove(real);
    }
  }

  @Override
  public void close() throws IOException {
    release(directory, channel);
  }
}
