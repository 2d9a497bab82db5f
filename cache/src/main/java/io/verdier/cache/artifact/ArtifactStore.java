package io.verdier.cache.artifact;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;

/**
 * Turns what the operator named into a directory on the local disk. Owned by the cache worker
 * thread.
 *
 * <p>Sources: a local directory, or none: the embedded demo model, which is unpacked once under the
 * cache directory.
 */
public final class ArtifactStore {
  private final EmbeddedModel embedded;

  /**
   * @param directory the server's cache directory; made on first use
   */
  public ArtifactStore(Path directory, ClassLoader resources) {
    this.embedded = new EmbeddedModel(directory.resolve("models"), resources);
  }

  /**
   * Blocks until the files are there.
   *
   * @return directory that holds {@code config.json}
   * @throws ArtifactException where the source is unknown or unreadable
   */
  public Path resolve(Optional<String> source) {
    return source.map(ArtifactStore::local).orElseGet(embedded::unpack);
  }

  private static Path local(String source) {
    if (source.startsWith("gs://") || source.startsWith("s3://") || source.contains("://")) {
      throw new ArtifactException(
          "--model %s: remote sources cannot be fetched by this version. Download the files and pass their directory."
              .formatted(source));
    }
    Path directory = path(source);
    if (Files.isRegularFile(directory.resolve("config.json"))) {
      return directory.toAbsolutePath();
    }
    if (Files.isDirectory(directory)) {
      throw new ArtifactException(
          "--model %s: the directory has no config.json. Pass the directory of a Hugging Face checkpoint."
              .formatted(source));
    }
    throw new ArtifactException(
        "--model %s: no such directory, and models of the Hugging Face Hub cannot be fetched by this version. Download the files and pass their directory."
            .formatted(source));
  }

  private static Path path(String source) {
    try {
      return Path.of(source);
    } catch (InvalidPathException malformed) {
      throw new ArtifactException("--model %s: not a path".formatted(source), malformed);
    }
  }

  /** Deletes a directory of plain files, as far as that goes. */
  static void deleteQuietly(Path directory) {
    try (var files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException leftBehind) {
      // A temporary directory that cannot be removed costs disk space only.
    }
  }
}
