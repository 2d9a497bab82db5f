package io.verdier.cache.artifact;

import java.util.List;
import java.util.regex.Pattern;

/**
 * A file at its source. Immutable.
 *
 * @param name relative path with slashes; checked, so that it may be resolved against a directory
 * @param size in bytes
 * @param version changes whenever the content does: generation, or entity tag; empty: the source
 *     has none
 */
record RemoteFile(String name, long size, Checksum checksum, String version) {
  private static final Pattern SEGMENT = Pattern.compile("[^\\\\/\\p{Cntrl}:]{1,255}");
  private static final int NAME_CHARS_MAX = 1024;

  RemoteFile {
    if (!isSafe(name)) {
      throw new ArtifactException("the source names a file outside of its directory");
    }
    if (size < 0) {
      throw new ArtifactException(name + ": the source does not say how large the file is");
    }
  }

  /** Whether a name stays below any directory: relative, no {@code ..}, nothing odd. */
  static boolean isSafe(String name) {
    if (name.isEmpty() || name.length() > NAME_CHARS_MAX) {
      return false;
    }
    for (String segment : name.split("/", -1)) {
      if (segment.equals(".") || segment.equals("..") || !SEGMENT.matcher(segment).matches()) {
        return false;
      }
    }
    return true;
  }

  /**
   * Whether a name leads out of a directory: then somebody means harm. Others that are not safe are
   * merely odd, as {@code runs/10:00/a.log} and {@code a//b} are, and nothing that is fetched has
   * such a name.
   */
  static boolean climbs(String name) {
    return name.startsWith("/") || List.of(name.split("[/\\\\]", -1)).contains("..");
  }

  /** Whether bytes that are fetched at two times can be known to belong together. */
  boolean isVersioned() {
    return !version.isEmpty() || checksum.kind() != Checksum.Kind.NONE;
  }

  /** One line that is the same only for the same bytes, as far as the source tells. */
  String identity() {
    String text = name + "\n" + size + "\n" + checksum + "\n" + version;
    return Checksum.ofText(text);
  }
}
