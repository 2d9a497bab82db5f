package io.verdier.cache.host;

import io.verdier.cache.host.DiskFile.Identity;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The directory that the operator named, with a directory in it for each identity: blocks of one
 * model mean nothing to another. Stateless.
 *
 * <p>Models of one process share the bytes alike, and so do engines that serve one model: each has
 * a directory, for the books of a file have one owner. Whoever opens one writes down in it how many
 * bytes it may come to have; what others use counts as much, also while it is empty.
 *
 * <p>Those of others that nobody uses now may keep what other models are to have, at least half of
 * all bytes, and the longest unused go first. What has another name than we give is not ours and is
 * left alone.
 */
public final class DiskDirectory {
  private static final Logger LOG = LoggerFactory.getLogger(DiskDirectory.class);

  private static final String OURS = "[0-9a-f]{32}(-[0-9]+)?";
  private static final int NAME_BYTES = 16; // of the digest: the head has all of it
  private static final String PROMISE = "promise"; // bytes, in decimal
  private static final Set<String> FILES =
      Set.of(DiskFile.INDEX, DiskFile.BLOCKS, DirectoryLock.FILE, PROMISE);

  private DiskDirectory() {}

  /**
   * Which of the process's engines opens its blocks. Immutable.
   *
   * @param index from 0
   * @param count of engines with the same identity
   * @param models that share the bytes, this one among them
   */
  public record Engine(int index, int count, int models) {
    public static final Engine ALONE = new Engine(0, 1, 1);

    public Engine {
      Objects.checkIndex(index, count);
    }

    /** The first one finds what it had when it was alone. */
    private static String directory(String name, int index) {
      return index == 0 ? name : name + "-" + index;
    }
  }

  /**
   * Opens an engine's blocks of an identity; one at a time, so that each counts what those before
   * it were promised.
   *
   * @param bytesMax that all blocks in the directory may take, those of all engines together
   * @return empty if another process has them, or another model of this one
   * @throws IOException if the directory cannot be used
   */
  public static synchronized Optional<DiskFile> open(
      Path root, Identity identity, Engine engine, long bytesMax) throws IOException {
    String name = HexFormat.of().formatHex(identity.digest(), 0, NAME_BYTES);
    Set<String> siblings = new HashSet<>();
    for (int i = 0; i < engine.count; i++) {
      siblings.add(Engine.directory(name, i));
    }
    Path own = root.resolve(Engine.directory(name, engine.index));
    Files.createDirectories(own);
    long others = shrink(others(root, siblings), bytesMax - bytesMax / Math.max(2, engine.models));
    removeForeign(own);
    long left = Math.max(0, bytesMax - others);
    long share = Math.min(left, bytesMax / engine.models) / engine.count;
    Optional<DiskFile> file = DiskFile.open(own, identity, share);
    if (file.isPresent()) {
      Files.writeString(own.resolve(PROMISE), Long.toString(share)); // and when it was last used
    }
    return file;
  }

  private static List<Path> others(Path root, Set<String> own) throws IOException {
    try (Stream<Path> all = Files.list(root)) {
      List<Path> found = new ArrayList<>();
      all.filter(it -> it.getFileName().toString().matches(OURS))
          .filter(it -> !own.contains(it.getFileName().toString()))
          .sorted(Comparator.comparing(DiskDirectory::lastUse))
          .forEach(found::add);
      return found;
    }
  }

  private static FileTime lastUse(Path directory) {
    try {
      return Files.getLastModifiedTime(directory.resolve(PROMISE));
    } catch (IOException none) {
      return FileTime.fromMillis(0);
    }
  }

  /** Removes the first ones until the others fit; returns the bytes of those that are left. */
  private static long shrink(List<Path> directories, long bytesMax) throws IOException {
    Map<Path, Long> bytes = new LinkedHashMap<>();
    for (Path directory : directories) {
      bytes.put(directory, counted(directory));
    }
    long total = bytes.values().stream().mapToLong(Long::longValue).sum();
    for (Map.Entry<Path, Long> other : bytes.entrySet()) {
      if (total > bytesMax) {
        total -= remove(other.getKey()) ? other.getValue() : 0;
      }
    }
    return total;
  }

  /** What is there, and of one in use also what is to come. */
  private static long counted(Path directory) throws IOException {
    long bytes = bytes(directory);
    long promised = promised(directory);
    return promised > bytes && isUsed(directory) ? promised : bytes;
  }

  private static boolean isUsed(Path directory) throws IOException {
    Optional<DirectoryLock> lock = DirectoryLock.tryTake(directory);
    if (lock.isPresent()) {
      lock.get().close();
    }
    return lock.isEmpty();
  }

  private static long promised(Path directory) throws IOException {
    try {
      return Long.parseLong(Files.readString(directory.resolve(PROMISE)));
    } catch (NoSuchFileException | NumberFormatException unsaid) {
      return 0;
    }
  }

  private static long bytes(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.mapToLong(DiskDirectory::size).sum();
    }
  }

  private static long size(Path file) {
    try {
      return Files.size(file);
    } catch (IOException gone) {
      return 0;
    }
  }

  /** Nothing happens while a process uses it. */
  private static boolean remove(Path directory) throws IOException {
    try (DirectoryLock lock = DirectoryLock.tryTake(directory).orElse(null)) {
      if (lock == null) {
        return false;
      }
      delete(directory, Set.of());
      Files.deleteIfExists(directory);
    }
    LOG.info("Removed the prefix cache of another model: {}", directory.getFileName());
    return true;
  }

  private static void removeForeign(Path own) throws IOException {
    delete(own, FILES);
  }

  private static void delete(Path directory, Set<String> kept) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      files
          .filter(it -> Files.isRegularFile(it) && !kept.contains(it.getFileName().toString()))
          .forEach(DiskDirectory::delete);
    } catch (UncheckedIOException failed) {
      throw failed.getCause();
    }
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }
}
