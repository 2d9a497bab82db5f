package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedTable.PackedKey;
import io.verdier.engine.natives.NativeFiles;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Clock;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The directory of packed files. Thread-safe: other processes use it too, and all that happens to a
 * file that others know is one rename or one removal, which those that have it mapped do not feel.
 *
 * <p>What stays: one file for each checkpoint, weight format and level of kernels in use. A file
 * goes when its checkpoint is gone or changed, when this version packs otherwise, or when it is
 * damaged; what a killed writer left goes after an hour.
 */
final class PackedDirectory {
  static final String SUFFIX = ".verdier";
  private static final String UNFINISHED = ".part";
  private static final Duration ABANDONED = Duration.ofHours(1);

  /** A cache must not be what fills the disk. */
  private static final long FREE_BYTES_MIN = 1L << 30;

  private static final Logger LOG = LoggerFactory.getLogger(PackedDirectory.class);

  private final Path directory;
  private final Clock clock;

  PackedDirectory(Path directory, Clock clock) {
    this.directory = directory;
    this.clock = clock;
  }

  Path file(PackedKey key) {
    return directory.resolve(key.fileName());
  }

  /**
   * A new file to write to, after making room.
   *
   * @throws IOException if others may write to the directory, or it has no room
   */
  Path begin(PackedKey key, long bytes) throws IOException {
    NativeFiles.privateDirectory(directory);
    removeStale(key);
    long room = Files.getFileStore(directory).getUsableSpace();
    if (room < bytes + FREE_BYTES_MIN) {
      throw new IOException(
          "they take %d MiB, and the disk has %d MiB left, of which %d stay free"
              .formatted(bytes >> 20, room >> 20, FREE_BYTES_MIN >> 20));
    }
    return Files.createTempFile(directory, "weights", UNFINISHED); // ours alone to read
  }

  /** Gives what is written, and on the disk, its name; another process's file is replaced. */
  void finish(Path unfinished, PackedKey key) throws IOException {
    Files.move(
        unfinished, file(key), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    try (FileChannel names = FileChannel.open(directory, StandardOpenOption.READ)) {
      names.force(true);
    }
  }

  /** Whether another process wrote the file in the meantime. */
  boolean has(PackedKey key) {
    try {
      return PackedFile.table(file(key)).key().equals(key);
    } catch (IOException absentOrDamaged) {
      return false;
    }
  }

  private void removeStale(PackedKey current) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        String name = String.valueOf(file.getFileName());
        boolean stale =
            name.endsWith(SUFFIX)
                ? isStale(file, current)
                : name.endsWith(UNFINISHED) && isOld(file);
        if (stale && Files.deleteIfExists(file)) {
          LOG.info("Packed weights removed, of no use any more: {}", file);
        }
      }
    }
  }

  private static boolean isStale(Path file, PackedKey current) {
    try {
      PackedKey key = PackedFile.table(file).key();
      boolean replaced =
          key.checkpoint().isAt(current.checkpoint())
              && !key.checkpoint().equals(current.checkpoint());
      return replaced || key.layout() != current.layout() || !key.checkpoint().isPresent();
    } catch (NoSuchFileException removedByAnother) {
      return false;
    } catch (IOException damaged) {
      return true;
    }
  }

  private boolean isOld(Path file) throws IOException {
    try {
      return Files.getLastModifiedTime(file).toInstant().isBefore(clock.instant().minus(ABANDONED));
    } catch (NoSuchFileException finishedByAnother) {
      return false;
    }
  }
}
