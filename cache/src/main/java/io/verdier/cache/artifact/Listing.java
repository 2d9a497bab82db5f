package io.verdier.cache.artifact;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The files of an artifact as they are now. Immutable.
 *
 * @param version of all of them together: a commit, or a hash of theirs
 */
record Listing(String version, List<RemoteFile> files) {
  Listing {
    files = List.copyOf(files);
  }

  /** Of files that have only versions of their own. */
  static Listing of(List<RemoteFile> files) {
    String all =
        files.stream()
            .sorted(Comparator.comparing(RemoteFile::name))
            .map(RemoteFile::identity)
            .collect(Collectors.joining("\n"));
    return new Listing(Checksum.ofText(all).substring(0, 16), files);
  }

  Optional<RemoteFile> file(String name) {
    return files.stream().filter(file -> file.name().equals(name)).findFirst();
  }

  boolean has(String name) {
    return file(name).isPresent();
  }
}
