package io.verdier.cache.artifact;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;

/**
 * A directory of the server's own.
 *
 * <pre>
 *   ENTRY/files/…     complete files under their names
 *   ENTRY/partial/…   bytes on their way, with their journals
 *   ENTRY/used        its time is that of the last use
 * </pre>
 */
record OwnPlace(Path entry) implements Place {
  static final String USED = "used";
  private static final int HASH_CHARS = 12;

  /**
   * What the names of all versions of an artifact begin with: the last word of the address, for
   * people who look into the directory, and its hash.
   */
  static String entryName(ArtifactUri uri, FileChoice choice) {
    String word = uri.shown().replaceAll(".*/", "").replaceAll("[^A-Za-z0-9._-]", "_");
    String name = word.length() > 40 ? word.substring(0, 40) : word;
    String hash = Checksum.ofText(choice + " " + uri.identity()).substring(0, HASH_CHARS);
    return name.replaceFirst("^\\.", "_") + "-" + hash + "-";
  }

  @Override
  public Path directory() {
    return entry.resolve("files");
  }

  @Override
  public boolean has(RemoteFile file) {
    return Files.isRegularFile(target(file)) && target(file).toFile().length() == file.size();
  }

  private Path target(RemoteFile file) {
    return directory().resolve(file.name());
  }

  @Override
  public Path partial(RemoteFile file) {
    return entry.resolve("partial").resolve(Checksum.ofText(file.name()).substring(0, 32));
  }

  @Override
  public void publish(RemoteFile file, PartialFile partial) throws IOException {
    partial.publish(target(file));
  }

  @Override
  public void complete() {
    deleteQuietly(entry.resolve("partial"));
  }

  /** Deletes a directory of plain files, as far as that goes. */
  static void deleteQuietly(Path directory) {
    try (var files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException | UncheckedIOException leftBehind) {
      // A temporary directory that cannot be removed costs disk space only. Another process may be
      // at it just now.
    }
  }
}
