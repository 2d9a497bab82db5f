package io.verdier.cache.artifact;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.UUID;

/** Makes an entry's files of a fetched archive. Stateless. */
final class Unpacking {
  private static final String TEMPORARY = "unpack-";

  private Unpacking() {}

  /**
   * Whether it was done; what a process left behind that was killed at it goes. Under the entry's
   * lock, so that nobody is at it now.
   *
   * @param archive name of the archive in the entry
   */
  static boolean isThere(ArtifactUri.Url url, String archive, FileChoice choice, OwnPlace place)
      throws IOException {
    if (Files.isDirectory(place.entry())) {
      try (var found = Files.newDirectoryStream(place.entry(), TEMPORARY + "*")) {
        found.forEach(OwnPlace::deleteQuietly);
      }
    }
    boolean isWhole = choice.isWhole(url.shown(), place.directory());
    if (isWhole) {
      Files.deleteIfExists(place.entry().resolve(archive));
    }
    return isWhole;
  }

  /**
   * Beside the final place, then renamed: half an archive never looks like a whole one.
   *
   * @param room for what is unpacked
   */
  static void into(
      OwnPlace place, ArtifactUri.Url url, Path archive, FileChoice choice, Archive.Room room)
      throws IOException {
    Path temporary = place.entry().resolve(TEMPORARY + UUID.randomUUID());
    try {
      Archive.unpack(url.shown(), archive, Archive.Kind.of(url.shown()), temporary, room);
      Path root = root(temporary, choice);
      if (!choice.isWhole(url.shown(), root)) {
        throw new ArtifactException(
            "%s: the archive lacks %s or the weights it needs as safetensors."
                .formatted(url.shown(), choice.essential()));
      }
      OwnPlace.deleteQuietly(place.directory());
      Files.move(root, place.directory(), StandardCopyOption.ATOMIC_MOVE);
      place.complete();
      Files.delete(archive);
    } finally {
      OwnPlace.deleteQuietly(temporary);
    }
  }

  /** The directory itself, or the only one in it, as archives of a directory have it. */
  private static Path root(Path directory, FileChoice choice) throws IOException {
    try (var files = Files.list(directory)) {
      List<Path> found = files.toList();
      boolean wrapped =
          found.size() == 1 && Files.isRegularFile(found.getFirst().resolve(choice.essential()));
      return wrapped ? found.getFirst() : directory;
    }
  }
}
