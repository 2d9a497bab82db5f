package io.verdier.engine.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Which checkpoint weights come from: what was made of an equal one is as good as new. Immutable.
 *
 * <p>Reading all of it to compare would take as long as to pack it again. Name, size and time alone
 * would be fooled by tools that set all times to the same, as those for container images do; so
 * there is a fingerprint of some bytes of every tensor besides.
 *
 * @param files all that tensors lie in, by path
 */
public record Checkpoint(List<StoredFile> files) {
  public Checkpoint {
    files = List.copyOf(files);
  }

  /** Size of all files. */
  public long bytes() {
    return files.stream().mapToLong(StoredFile::bytes).sum();
  }

  /** Whether both have the same paths, whatever lies there. */
  public boolean isAt(Checkpoint other) {
    return paths().equals(other.paths());
  }

  private List<String> paths() {
    return files.stream().map(StoredFile::path).toList();
  }

  /** Whether files of the same sizes and times are still there; fingerprints are not compared. */
  public boolean isPresent() {
    return files.stream().allMatch(StoredFile::isPresent);
  }

  /**
   * One file.
   *
   * @param path absolute, with links resolved
   * @param modifiedNanos time of the last change, since 1970
   * @param fingerprint of the header and of some bytes of each tensor
   */
  public record StoredFile(String path, long bytes, long modifiedNanos, long fingerprint) {

    static StoredFile of(Path path, long fingerprint) throws IOException {
      Path real = path.toRealPath();
      BasicFileAttributes found = Files.readAttributes(real, BasicFileAttributes.class);
      return new StoredFile(real.toString(), found.size(), nanos(found), fingerprint);
    }

    private boolean isPresent() {
      try {
        BasicFileAttributes found = Files.readAttributes(Path.of(path), BasicFileAttributes.class);
        return found.size() == bytes && nanos(found) == modifiedNanos;
      } catch (IOException | InvalidPathException gone) {
        return false;
      }
    }

    private static long nanos(BasicFileAttributes attributes) {
      return attributes.lastModifiedTime().to(TimeUnit.NANOSECONDS);
    }
  }
}
