package io.verdier.cache.artifact;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A file on its way to this host, in pieces of any order, across any number of processes that were
 * killed. Thread-safe: pieces of several threads are written at the same time, the book is kept
 * under the object's lock.
 *
 * <p>Beside the data lies a journal: a first line that says which bytes these are, then a line for
 * every piece, {@code from to}. A piece is entered after its bytes were given to the disk. A line
 * that was cut off is not believed, nor is a journal of other bytes: then the file begins anew.
 */
final class PartialFile implements Closeable {
  private static final long JOURNAL_BYTES = 16 << 10; // first lines, and those of breaks
  private static final long JOURNALLED_BYTES = 64 << 10; // for each byte of a journal
  private static final String FORM = "verdier-partial 1 ";

  private final Path data;
  private final Path journal;
  private final long size;
  private final FileChannel bytes;
  private final FileChannel book;
  private final TreeMap<Long, Long> have =
      new TreeMap<>(); // begin → end, neither touch nor overlap

  /** Bytes from {@code from} up to {@code to}, exclusive. */
  record Range(long from, long to) {
    long size() {
      return to - from;
    }
  }

  private PartialFile(Path data, Path journal, RemoteFile file) throws IOException {
    this.data = data;
    this.journal = journal;
    this.size = file.size();
    String first = FORM + file.identity() + "\n";
    boolean known = Files.exists(data) && Files.size(data) == size && readJournal(first);
    if (!known) {
      have.clear();
      Files.deleteIfExists(journal);
      Files.deleteIfExists(data);
    }
    this.bytes = FileChannel.open(data, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    try {
      this.book = FileChannel.open(journal, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
      if (!known) {
        extend();
        append(first);
      }
    } catch (IOException e) {
      bytes.close();
      throw e;
    }
  }

  /**
   * Opens what is there of a file, or begins it.
   *
   * @param data where its bytes gather; the journal lies beside it
   */
  static PartialFile open(Path data, RemoteFile file) throws IOException {
    Files.createDirectories(parent(data));
    return new PartialFile(data, journalOf(data), file);
  }

  private static Path journalOf(Path data) {
    return data.resolveSibling(data.getFileName() + ".journal");
  }

  static Path parent(Path file) {
    Path parent = file.getParent();
    if (parent == null) {
      throw new IllegalStateException("no parent: " + file);
    }
    return parent;
  }

  /** At its full length from the beginning: whoever maps it early sees the rest come. */
  private void extend() throws IOException {
    if (size > 0) {
      bytes.write(ByteBuffer.allocate(1), size - 1);
    }
  }

  private boolean readJournal(String first) throws IOException {
    if (!Files.exists(journal)) {
      return false;
    }
    String text = Files.readString(journal, StandardCharsets.ISO_8859_1);
    if (!text.startsWith(first)) {
      return false;
    }
    int end = text.lastIndexOf('\n');
    for (String line : text.substring(first.length(), Math.max(end, first.length())).split("\n")) {
      if (line.matches("[0-9]{1,18} [0-9]{1,18}")) {
        int blank = line.indexOf(' ');
        enter(Long.parseLong(line.substring(0, blank)), Long.parseLong(line.substring(blank + 1)));
      }
    }
    if (end != text.length() - 1) { // the next line must not continue the one that was cut off
      Files.writeString(journal, "\n", StandardOpenOption.APPEND);
    }
    return true;
  }

  private void enter(long from, long to) {
    if (from < 0 || to > size || from >= to) {
      return;
    }
    long begin = from;
    long end = to;
    Map.Entry<Long, Long> near = have.floorEntry(to);
    while (near != null && near.getValue() >= begin) {
      begin = Math.min(begin, near.getKey());
      end = Math.max(end, near.getValue());
      have.remove(near.getKey());
      near = have.floorEntry(to);
    }
    have.put(begin, end);
  }

  /** About what journals take at most, of files that have so many bytes together. */
  static long journalBytes(long bytes) {
    return JOURNAL_BYTES + bytes / JOURNALLED_BYTES;
  }

  /** What is still missing, in order, in pieces of at most so many bytes. */
  synchronized List<Range> gaps(long pieceBytes) {
    List<Range> gaps = new ArrayList<>();
    long at = 0;
    for (Map.Entry<Long, Long> piece : have.entrySet()) {
      split(at, piece.getKey(), pieceBytes, gaps);
      at = piece.getValue();
    }
    split(at, size, pieceBytes, gaps);
    return gaps;
  }

  private static void split(long from, long to, long pieceBytes, List<Range> gaps) {
    for (long at = from; at < to; at += pieceBytes) {
      gaps.add(new Range(at, Math.min(to, at + pieceBytes)));
    }
  }

  /** Bytes that are there. */
  synchronized long present() {
    return have.entrySet().stream().mapToLong(piece -> piece.getValue() - piece.getKey()).sum();
  }

  synchronized boolean isComplete() {
    return present() == size;
  }

  /** Writes at a place of its own; nobody counts on it before {@link #enter(Range)}. */
  void write(ByteBuffer from, long at) throws IOException {
    long place = at;
    while (from.hasRemaining()) {
      place += bytes.write(from, place);
    }
  }

  /** Enters a piece that was written, after the disk has it. */
  void enter(Range piece) throws IOException {
    bytes.force(false);
    synchronized (this) {
      enter(piece.from, piece.to);
      append(piece.from + " " + piece.to + "\n");
    }
  }

  private void append(String line) throws IOException {
    book.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.ISO_8859_1)));
  }

  /** Forgets all pieces: what they add up to is not the file. */
  synchronized void restart(RemoteFile file) throws IOException {
    have.clear();
    book.truncate(0);
    append(FORM + file.identity() + "\n");
  }

  Path data() {
    return data;
  }

  /** Gives the complete, verified file its name, at once or not at all. */
  void publish(Path target) throws IOException {
    bytes.force(true);
    Files.createDirectories(parent(target));
    Files.move(data, target, StandardCopyOption.ATOMIC_MOVE);
    Files.deleteIfExists(journal);
  }

  @Override
  public void close() throws IOException {
    bytes.close();
    book.close();
  }
}
