package io.verdier.cache.artifact;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What is said when the disk, not the network, ends a download. No state. */
final class DiskFailure {
  /** The disk is never filled to its last byte: logs and other programs live on it too. */
  private static final long RESERVE_BYTES = 64L << 20;

  private DiskFailure() {}

  /** Refuses a download that cannot fit before its first byte. */
  static void requireSpace(String artifact, Path directory, long bytes) throws IOException {
    long free = Files.getFileStore(directory).getUsableSpace();
    if (bytes > 0 && bytes + RESERVE_BYTES > free) {
      throw new ArtifactException(
          "%s: %s more are needed in %s and %s are free. Make room there, or name another directory with --download-dir."
              .formatted(artifact, size(bytes + RESERVE_BYTES), directory, size(free)));
    }
  }

  static ArtifactException of(String artifact, Path directory, IOException failed) {
    String text = String.valueOf(failed.getMessage());
    if (text.contains("No space left") || text.contains("Disk quota exceeded")) {
      return new ArtifactException(
          "%s: no space is left in %s. Make room there, or name another directory with --download-dir."
              .formatted(artifact, directory),
          failed);
    }
    String reason =
        failed instanceof AccessDeniedException
            ? "not allowed"
            : failed instanceof FileSystemException system && system.getReason() != null
                ? system.getReason()
                : text;
    return new ArtifactException(
        "%s: %s cannot be written to (%s). Name a writable directory with --download-dir."
            .formatted(artifact, directory, reason),
        failed);
  }

  /** In the largest unit that leaves a number of at least one. */
  static String size(long bytes) {
    if (bytes < 1 << 10) {
      return bytes + " bytes";
    }
    int unit = Math.min(4, (63 - Long.numberOfLeadingZeros(bytes)) / 10);
    return "%.1f %siB".formatted(bytes / (double) (1L << (10 * unit)), " KMGT".charAt(unit));
  }
}
