package io.verdier.cache.artifact;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the server's own downloads within their bytes: the ones longest unused go, those in use
 * stay. Where the operator names no number they may have nine tenths of the room that there is for
 * them, which shrinks as other programs fill the disk. Thread-safe: every change is made under the
 * entry's lock, and by one thread of the process at a time, whichever model's store it works for.
 *
 * <p>An entry is renamed before it is deleted, so that nobody ever finds half of one.
 */
final class DiskQuota {
  private static final Logger LOG = LoggerFactory.getLogger(DiskQuota.class);
  private static final String TRASH = "trash-";

  private final Path entries;
  private final OptionalLong bytesMax;
  private final EntryLocks locks;
  private final FreeSpace free;
  private final Map<String, Long> reserved; // bytes by entry; its lock is that of all changes

  /** Bytes that a directory's disk has left. */
  @FunctionalInterface
  interface FreeSpace {
    long of(Path directory) throws IOException;
  }

  /**
   * @param entries directory of the downloads
   * @param bytesMax of all together; empty: by what is free
   */
  DiskQuota(Path entries, OptionalLong bytesMax, EntryLocks locks) {
    this(entries, bytesMax, locks, directory -> Files.getFileStore(directory).getUsableSpace());
  }

  DiskQuota(Path entries, OptionalLong bytesMax, EntryLocks locks, FreeSpace free) {
    this.entries = entries;
    this.bytesMax = bytesMax;
    this.locks = locks;
    this.reserved = locks.reserved();
    this.free = free;
  }

  private record Entry(Path path, FileTime used, long bytes) {
    String name() {
      return String.valueOf(path.getFileName());
    }
  }

  /** Notes that an entry is used now. */
  static void touch(Path entry, FileTime now) throws IOException {
    Path used = entry.resolve(OwnPlace.USED);
    if (!Files.exists(used)) {
      Files.createDirectories(entry);
      Files.writeString(used, "");
    }
    Files.setLastModifiedTime(used, now);
  }

  /** Entries whose names begin so, and that were used after a time; the latest used first. */
  List<String> usedAfter(String prefix, FileTime time) throws IOException {
    Map<String, FileTime> used = new HashMap<>();
    try (Stream<Path> paths = Files.list(entries)) {
      for (Path path : paths.toList()) {
        Path last = path.resolve(OwnPlace.USED);
        String name = String.valueOf(path.getFileName());
        if (name.startsWith(prefix) && Files.exists(last)) {
          used.put(name, Files.getLastModifiedTime(last));
        }
      }
    } catch (NoSuchFileException none) {
      return List.of();
    }
    return used.entrySet().stream()
        .filter(entry -> entry.getValue().compareTo(time) > 0)
        .sorted(Map.Entry.<String, FileTime>comparingByValue().reversed())
        .map(Map.Entry::getKey)
        .toList();
  }

  /** Refuses an adapter that is larger than any may be. */
  static void requireSize(String artifact, long bytes, long bytesMax) {
    if (bytes > bytesMax) {
      throw new ArtifactException(
          "%s: its %s are more than --max-lora-size %s."
              .formatted(artifact, DiskFailure.size(bytes), DiskFailure.size(bytesMax)));
    }
  }

  /** Bytes that an artifact on its way will have; given back when it is there, or will not be. */
  @FunctionalInterface
  interface Reservation extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Makes room for an artifact. Until the reservation is given back, others count it in full: what
   * comes at the same time must not find the same room. A second one of the same entry takes the
   * first one's place.
   *
   * @param keep name of its entry, which may hold some of it already
   * @param besides bytes of journals while it comes: others go for them, and nothing is refused
   * @throws ArtifactException if it cannot fit beside what is in use
   */
  Reservation makeRoom(String artifact, String keep, long bytes, long besides) throws IOException {
    Files.createDirectories(entries);
    Coming coming = new Coming(keep, bytes, besides);
    synchronized (reserved) {
      List<Entry> all = list();
      List<Entry> others = all.stream().filter(entry -> !entry.name().equals(keep)).toList();
      if (bytesMax.isPresent()) {
        keepWithin(bytesMax.getAsLong(), artifact, others, coming);
      } else {
        leaveATenth(artifact, others, coming, bytes(all) - bytes(others));
      }
      reserved.put(keep, coming.all());
    }
    return () -> giveBack(keep);
  }

  /** An artifact that room is made for. */
  private record Coming(String entry, long bytes, long besides) {
    long all() {
      return bytes + besides;
    }
  }

  private void keepWithin(long max, String artifact, List<Entry> others, Coming coming)
      throws IOException {
    long total =
        coming.all()
            + others.stream().mapToLong(this::counted).sum()
            + unseen(coming.entry, others);
    for (Entry oldest : others) {
      if (total <= max) {
        break;
      }
      if (delete(oldest, artifact)) {
        total -= oldest.bytes;
      }
    }
    if (total - coming.besides > max) {
      throw new ArtifactException(
          "%s: its %s do not fit into --download-quota %s beside what is in use. Raise it."
              .formatted(artifact, DiskFailure.size(coming.bytes), DiskFailure.size(max)));
    }
  }

  /**
   * Of what is free and what could be deleted. Refuses nothing: what is larger than all of that is
   * refused by its size before its first byte.
   *
   * @param there bytes of what comes that are on the disk already
   */
  private void leaveATenth(String artifact, List<Entry> others, Coming coming, long there)
      throws IOException {
    List<Entry> unused = new ArrayList<>();
    for (Entry entry : others) {
      if (isUnused(entry)) {
        unused.add(entry);
      }
    }
    long onTheirWay =
        others.stream().mapToLong(it -> counted(it) - it.bytes).sum()
            + unseen(coming.entry, others);
    long kept = bytes(unused);
    long room = free.of(entries) - onTheirWay + there + kept;
    for (Entry oldest : unused) {
      if (kept + coming.all() <= room - room / 10) {
        return;
      }
      if (delete(oldest, artifact)) {
        kept -= oldest.bytes;
      }
    }
  }

  private void giveBack(String entry) {
    synchronized (reserved) {
      reserved.remove(entry);
    }
  }

  private long counted(Entry entry) {
    return Math.max(entry.bytes, reserved.getOrDefault(entry.name(), 0L));
  }

  /** Reserved by others of whom nothing is there yet. */
  private long unseen(String keep, List<Entry> others) {
    Set<String> seen = others.stream().map(Entry::name).collect(Collectors.toSet());
    return reserved.entrySet().stream()
        .filter(it -> !it.getKey().equals(keep) && !seen.contains(it.getKey()))
        .mapToLong(Map.Entry::getValue)
        .sum();
  }

  /** Of all entries. */
  long bytes() throws IOException {
    synchronized (reserved) {
      return bytes(list());
    }
  }

  private static long bytes(List<Entry> entries) {
    return entries.stream().mapToLong(Entry::bytes).sum();
  }

  /** Deletes other versions of an artifact that nobody uses. */
  void dropOlder(String prefix, String keep) throws IOException {
    synchronized (reserved) {
      for (Entry entry : list()) {
        if (entry.name().startsWith(prefix) && !entry.name().equals(keep)) {
          delete(entry.name());
        }
      }
    }
  }

  /** Longest unused first; what is left of deletions that were interrupted goes on the way. */
  private List<Entry> list() throws IOException {
    List<Entry> found = new ArrayList<>();
    try (Stream<Path> paths = Files.list(entries)) {
      for (Path path : paths.toList()) {
        if (String.valueOf(path.getFileName()).startsWith(TRASH)) {
          OwnPlace.deleteQuietly(path);
        } else if (Files.isDirectory(path)) {
          entry(path).ifPresent(found::add);
        }
      }
    } catch (NoSuchFileException none) {
      return List.of();
    }
    found.sort(Comparator.comparing(Entry::used));
    return found;
  }

  private static Optional<Entry> entry(Path path) {
    try (Stream<Path> files = Files.walk(path)) {
      Path used = path.resolve(OwnPlace.USED);
      FileTime time = Files.getLastModifiedTime(Files.exists(used) ? used : path);
      long bytes = files.filter(Files::isRegularFile).mapToLong(it -> it.toFile().length()).sum();
      return Optional.of(new Entry(path, time, bytes));
    } catch (IOException | UncheckedIOException gone) {
      return Optional.empty(); // another process has deleted it
    }
  }

  private boolean isUnused(Entry entry) throws IOException {
    Optional<EntryLocks.Held> lock = locks.tryChange(entry.name());
    lock.ifPresent(EntryLocks.Held::close);
    return lock.isPresent();
  }

  private boolean delete(Entry oldest, String artifact) throws IOException {
    boolean deleted = delete(oldest.name());
    if (deleted) {
      LOG.info("Deleted {}, the longest unused download, for {}", oldest.name(), artifact);
    }
    return deleted;
  }

  private boolean delete(String name) throws IOException {
    Optional<EntryLocks.Held> lock = locks.tryChange(name);
    if (lock.isEmpty()) {
      return false;
    }
    Path trash = entries.resolve(TRASH + UUID.randomUUID());
    try (EntryLocks.Held _ = lock.get()) {
      Files.move(entries.resolve(name), trash, StandardCopyOption.ATOMIC_MOVE);
    } catch (NoSuchFileException gone) {
      return true;
    }
    OwnPlace.deleteQuietly(trash);
    return true;
  }
}
