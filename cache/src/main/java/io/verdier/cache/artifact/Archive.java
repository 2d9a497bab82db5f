package io.verdier.cache.artifact;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipInputStream;

/**
 * Unpacks what was fetched as one file. No state.
 *
 * <p>An archive is hostile until shown otherwise: only plain files are made, only under names that
 * stay below the directory, and no more bytes than such an archive can honestly hold. Links,
 * devices and whatever this server does not read are passed over.
 */
final class Archive {
  private static final int ENTRIES_MAX = 10_000;

  /** Weights hardly shrink; text does, by less than this. */
  private static final int RATIO_MAX = 8;

  private static final long SMALL_BYTES = 256L << 20;

  /** Of what was written, this part more is asked for where an entry does not say its size. */
  private static final int ROOM_SHARE = 16;

  private static final int TAR_BLOCK = 512;
  private static final int TAR_NAME_BYTES_MAX = 64 << 10;
  private static final String READ = ".*\\.(json|jinja|txt|safetensors)|(.*/)?tokenizer\\.model";

  /** Formats, by the end of their names. */
  enum Kind {
    ZIP(".zip"),
    TAR(".tar"),
    TAR_GZ(".tar.gz");

    private final String ending;

    Kind(String ending) {
      this.ending = ending;
    }

    String fileName() {
      return "archive" + ending;
    }

    static Kind of(String path) {
      String name = path.endsWith(".tgz") ? path.replaceFirst("\\.tgz$", ".tar.gz") : path;
      for (Kind kind : values()) {
        if (name.endsWith(kind.ending)) {
          return kind;
        }
      }
      throw new ArtifactException(
          "%s: an https address must lead to an archive (.zip, .tar, .tar.gz) of the files."
              .formatted(path));
    }
  }

  private final String artifact;
  private final Path directory;
  private final Room room;
  private long bytesLeft;
  private long written;
  private long granted;
  private int entries;

  /** Who has a say in how much is written. */
  @FunctionalInterface
  interface Room {
    /**
     * To be asked before there are so many bytes of files, more than the archive has itself.
     *
     * @throws ArtifactException if there is no room for them
     */
    void require(long bytes) throws IOException;
  }

  private Archive(String artifact, Path directory, Room room, long archiveBytes) {
    this.artifact = artifact;
    this.directory = directory;
    this.room = room;
    this.granted = archiveBytes;
    this.bytesLeft = Math.addExact(Math.multiplyExact(archiveBytes, RATIO_MAX), SMALL_BYTES);
  }

  /**
   * @param directory that is made, and holds the files afterwards
   * @throws ArtifactException if the archive is damaged or hostile, or there is no room for it
   */
  static void unpack(String artifact, Path archive, Kind kind, Path directory, Room room)
      throws IOException {
    Archive unpacking = new Archive(artifact, directory, room, Files.size(archive));
    Files.createDirectories(directory);
    try (InputStream in = new BufferedInputStream(Files.newInputStream(archive), 1 << 16)) {
      switch (kind) {
        case ZIP -> unpacking.zip(new ZipInputStream(in));
        case TAR -> unpacking.tar(in);
        case TAR_GZ -> unpacking.tar(new BufferedInputStream(new GZIPInputStream(in, 1 << 16)));
      }
    } catch (ZipException | EOFException | NumberFormatException damaged) {
      throw new ArtifactException(artifact + ": the archive is damaged; upload it again.", damaged);
    }
  }

  private void zip(ZipInputStream in) throws IOException {
    for (ZipEntry entry = in.getNextEntry(); entry != null; entry = in.getNextEntry()) {
      if (!entry.isDirectory()) {
        file(entry.getName(), in, Long.MAX_VALUE);
      }
      count();
    }
  }

  /** POSIX ustar, with the long names of GNU and pax. */
  private void tar(InputStream in) throws IOException {
    Optional<String> longName = Optional.empty();
    for (byte[] head = block(in); head.length > 0; head = block(in)) {
      long size = number(head, 124, 12);
      switch (head[156]) {
        case 'L' -> longName = Optional.of(text(small(in, size), 0, (int) size));
        case 'x' -> longName = paxPath(small(in, size));
        case '0', 0 -> {
          file(longName.orElse(name(head)), in, size);
          longName = Optional.empty();
        }
        default -> {
          in.skipNBytes(size);
          longName = Optional.empty();
        }
      }
      in.skipNBytes((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
      count();
    }
  }

  /** A header, or nothing where the archive ends. */
  private static byte[] block(InputStream in) throws IOException {
    byte[] head = in.readNBytes(TAR_BLOCK);
    if (head.length == 0 || head[0] == 0) {
      return new byte[0];
    }
    if (head.length < TAR_BLOCK) {
      throw new EOFException();
    }
    return head;
  }

  private static String name(byte[] head) {
    String prefix = text(head, 257, 5).equals("ustar") ? text(head, 345, 155) : "";
    return (prefix.isEmpty() ? "" : prefix + "/") + text(head, 0, 100);
  }

  /** Octal digits; GNU writes sizes from 8 GiB in binary, which sets the first bit. */
  private static long number(byte[] head, int at, int length) {
    if ((head[at] & 0x80) == 0) {
      String digits = text(head, at, length).strip();
      return digits.isEmpty() ? 0 : Long.parseLong(digits, 8);
    }
    long value = 0;
    for (int i = at + length - 8; i < at + length; i++) {
      value = (value << 8) | (head[i] & 0xff);
    }
    if (value < 0) {
      throw new NumberFormatException("size");
    }
    return value;
  }

  private static String text(byte[] bytes, int at, int length) {
    int end = at;
    while (end < at + length && bytes[end] != 0) {
      end++;
    }
    return new String(bytes, at, end - at, StandardCharsets.UTF_8);
  }

  private static byte[] small(InputStream in, long size) throws IOException {
    if (size > TAR_NAME_BYTES_MAX) {
      throw new ZipException("a name of " + size + " bytes");
    }
    byte[] bytes = in.readNBytes((int) size);
    if (bytes.length < size) {
      throw new EOFException();
    }
    return bytes;
  }

  private static Optional<String> paxPath(byte[] records) {
    return new String(records, StandardCharsets.UTF_8)
        .lines()
        .filter(line -> line.matches("\\d+ path=.*"))
        .map(line -> line.substring(line.indexOf('=') + 1))
        .findFirst();
  }

  private void count() {
    entries++;
    if (entries > ENTRIES_MAX) {
      throw new ArtifactException(
          "%s: the archive has more than %d entries.".formatted(artifact, ENTRIES_MAX));
    }
  }

  /** Writes an entry, or passes it over. */
  private void file(String entry, InputStream in, long size) throws IOException {
    String name = entry.startsWith("./") ? entry.substring(2) : entry;
    if (RemoteFile.climbs(name)) {
      throw new ArtifactException(
          artifact + ": the archive names a file outside of itself; it is not unpacked.");
    }
    if (RemoteFile.isSafe(name) && name.matches(READ)) {
      Path file = directory.resolve(name);
      Files.createDirectories(PartialFile.parent(file));
      try (OutputStream out = Files.newOutputStream(file)) {
        copy(in, Optional.of(out), size);
      }
    } else {
      copy(in, Optional.empty(), size);
    }
  }

  private void copy(InputStream in, Optional<OutputStream> out, long size) throws IOException {
    byte[] buffer = new byte[1 << 16];
    long left = size;
    while (left > 0) {
      int n = in.read(buffer, 0, (int) Math.min(buffer.length, left));
      if (n < 0) {
        if (size != Long.MAX_VALUE) {
          throw new EOFException();
        }
        return;
      }
      bytesLeft -= n;
      if (bytesLeft < 0) {
        throw new ArtifactException(
            "%s: the archive unpacks to more than %d times its size; it is not unpacked."
                .formatted(artifact, RATIO_MAX));
      }
      if (out.isPresent()) {
        requireRoom(n, left);
        out.get().write(buffer, 0, n);
      }
      left -= n;
    }
  }

  /** In steps, since whoever gives room looks at the disk. */
  private void requireRoom(int bytes, long left) throws IOException {
    if (written + bytes > granted) {
      long step = left < Long.MAX_VALUE / 2 ? left : written / ROOM_SHARE;
      granted = written + Math.max(bytes, step);
      room.require(granted);
    }
    written += bytes;
  }
}
