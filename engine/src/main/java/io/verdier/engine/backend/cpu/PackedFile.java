package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedTable.PackedKey;
import io.verdier.engine.backend.cpu.PackedTable.Shape;
import io.verdier.engine.backend.cpu.PackedTable.StoredMatrix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * A file of packed weights, checked and in memory. Owned by the thread that loads, then by the
 * executor thread; closed by who opened it. Its weights may be given up and had again.
 *
 * <pre>
 *   0         4096                                        table        end of file
 *   +--------+---+----------+---+----------+---+----------+-------------+
 *   | prefix | 0 | matrix   | 0 | matrix   | 0 | ...      | table: JSON |
 *   +--------+---+----------+---+----------+---+----------+-------------+
 *
 *   prefix   magic: 8 bytes | version: u32 | CRC-32C of the rest of the prefix and of the table: u32
 *            | table's offset: u64 | table's bytes: u64             all little-endian
 * </pre>
 *
 * <p>Every byte that means something is under a checksum, all of which are compared before the
 * first weight is used: by all threads, at the memory's speed. A matrix begins at a page.
 *
 * <p><b>Map or copy.</b> Where the file system keeps large files in huge pages (ext4 since Linux
 * 6.16, XFS, Btrfs), products read the mapped file as fast as memory of our own (24.4 against 24.7
 * GB/s on two cores, medians), it is there in a seventh of a second, and processes share it.
 * Elsewhere its pages are of 4 KiB, of which reads are 7 % slower, for as long as the server runs;
 * then it is better to spend another half second once, and to read it into huge pages of our own.
 */
final class PackedFile implements AutoCloseable {
  static final byte[] MAGIC = "VERDIERW".getBytes(StandardCharsets.US_ASCII);

  /** Of the file's form; the weights' own is {@link PackedKey#layout}. */
  static final int VERSION = 1;

  /** Bytes under one checksum: a unit of work. */
  static final int CHUNK_BYTES = 4 << 20;

  static final int PAGE_BYTES = 4096;
  private static final int PREFIX_BYTES = 32;
  private static final int SUMMED_FROM = 16; // of the prefix
  private static final long TABLE_BYTES_MAX = 100L << 20;
  private static final int PIECE_BYTES = 1 << 18; // read and summed while it is in the cache

  private final Arena arena = Arena.ofShared();
  private final Map<Shape, StoredMatrix> matrices = new HashMap<>();
  private final MemorySegment data;
  private final boolean mapped;
  private final List<Chunk> chunks;
  private final FileChannel file; // open: whoever replaces the file leaves us this one
  private boolean isReleased;

  /**
   * @param file to read from; this closes it
   */
  private PackedFile(
      FileChannel file, PackedKey key, ComputePool pool, Predicate<MemorySegment> mapping)
      throws IOException {
    this.file = file;
    try {
      PackedTable table = table(file);
      if (!table.key().equals(key)) {
        throw new IOException("it has another checkpoint, format or kind of processor");
      }
      long bytes = file.size();
      MemorySegment view = file.map(FileChannel.MapMode.READ_ONLY, 0, bytes, arena);
      HugePages.advise(view);
      mapped = mapping.test(view);
      data = mapped ? view : NativeMemory.allocate(bytes, arena);
      chunks = chunks(table);
      check(pool);
      table.matrices().forEach(matrix -> matrices.put(matrix.shape(), matrix));
    } catch (IOException | RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  private void check(ComputePool pool) throws IOException {
    check(chunks, data, mapped ? null : file, pool);
  }

  /** Gives the memory back; no matrix may be used until {@link #recall}. */
  void release() {
    NativeMemory.vacate(data);
    isReleased = true;
  }

  boolean isReleased() {
    return isReleased;
  }

  /**
   * Reads and checks the matrices again, where they were.
   *
   * @throws IOException if they cannot be read or are not those that they were
   */
  void recall(ComputePool pool) throws IOException {
    check(pool);
    isReleased = false;
  }

  /**
   * Opens and checks a file.
   *
   * @param pool shares the work
   * @throws IOException if there is none, or with what is wrong with it
   */
  static PackedFile open(Path path, PackedKey key, ComputePool pool) throws IOException {
    return open(path, key, pool, HugePages::carry);
  }

  /**
   * @param mapping whether to leave the weights in the file, which is mapped, instead of copying
   */
  static PackedFile open(
      Path path, PackedKey key, ComputePool pool, Predicate<MemorySegment> mapping)
      throws IOException {
    return new PackedFile(FileChannel.open(path, StandardOpenOption.READ), key, pool, mapping);
  }

  /** The table of a file; the matrices are not read. */
  static PackedTable table(Path path) throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      return table(channel);
    }
  }

  private static PackedTable table(FileChannel channel) throws IOException {
    byte[] head = read(channel, 0, PREFIX_BYTES);
    ByteBuffer prefix = ByteBuffer.wrap(head).order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[MAGIC.length];
    prefix.get(magic);
    int version = prefix.getInt();
    if (!Arrays.equals(magic, MAGIC) || version != VERSION) {
      throw new IOException("it is not in version " + VERSION + " of the format");
    }
    int checksum = prefix.getInt();
    long offset = prefix.getLong();
    long bytes = prefix.getLong();
    long left = channel.size() - offset;
    if (offset < PAGE_BYTES || bytes < 2 || bytes > TABLE_BYTES_MAX || bytes != left) {
      throw new IOException("it is cut off or has a damaged head");
    }
    byte[] json = read(channel, offset, (int) bytes);
    if (checksum != checksum(head, json)) {
      throw new IOException("its table is damaged");
    }
    PackedTable table = PackedTable.parse(json);
    for (StoredMatrix matrix : table.matrices()) {
      long room = offset - matrix.offset();
      boolean inside =
          matrix.offset() >= PAGE_BYTES && 0 <= matrix.bytes() && matrix.bytes() <= room;
      long sums = (matrix.bytes() + CHUNK_BYTES - 1) / CHUNK_BYTES;
      if (!inside || matrix.offset() % PAGE_BYTES != 0 || matrix.checksums().size() != sums) {
        throw new IOException("its table has a wrong place for " + matrix.shape().name());
      }
    }
    return table;
  }

  private static byte[] read(FileChannel channel, long offset, int bytes) throws IOException {
    byte[] read = new byte[bytes];
    readFully(channel, offset, ByteBuffer.wrap(read));
    return read;
  }

  private static void readFully(FileChannel channel, long offset, ByteBuffer buffer)
      throws IOException {
    while (buffer.hasRemaining()) {
      int count = channel.read(buffer, offset + buffer.position());
      if (count < 0) {
        throw new IOException("it is cut off");
      }
    }
  }

  /** The prefix of a file whose table lies there. */
  static ByteBuffer prefix(long offset, byte[] table) {
    ByteBuffer prefix = ByteBuffer.allocate(PREFIX_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    prefix.put(MAGIC).putInt(VERSION).putInt(0).putLong(offset).putLong(table.length);
    return prefix.putInt(SUMMED_FROM - Integer.BYTES, checksum(prefix.array(), table)).flip();
  }

  private static int checksum(byte[] prefix, byte[] table) {
    CRC32C sum = new CRC32C();
    sum.update(prefix, SUMMED_FROM, PREFIX_BYTES - SUMMED_FROM);
    sum.update(table);
    return (int) sum.getValue();
  }

  private record Chunk(String name, long offset, int bytes, long checksum) {}

  private static List<Chunk> chunks(PackedTable table) {
    List<Chunk> chunks = new ArrayList<>();
    for (StoredMatrix matrix : table.matrices()) {
      for (int i = 0; i < matrix.checksums().size(); i++) {
        long done = (long) i * CHUNK_BYTES;
        int bytes = (int) Math.min(CHUNK_BYTES, matrix.bytes() - done);
        long checksum = matrix.checksums().get(i);
        chunks.add(new Chunk(matrix.shape().name(), matrix.offset() + done, bytes, checksum));
      }
    }
    return chunks;
  }

  /** Compares all checksums, and reads what they are of before if it has to come from a channel. */
  private static void check(
      List<Chunk> chunks, MemorySegment data, @Nullable FileChannel source, ComputePool pool)
      throws IOException {
    @Nullable String[] problems = new String[chunks.size()]; // each written by one unit
    pool.run(
        (unit, worker) -> {
          Chunk chunk = chunks.get(unit);
          try {
            if (checksum(chunk, data, source) != chunk.checksum) {
              problems[unit] = chunk.name + " is damaged";
            }
          } catch (IOException e) {
            problems[unit] = chunk.name + " cannot be read: " + e.getMessage();
          }
        },
        problems.length);
    Optional<String> problem = Arrays.stream(problems).filter(Objects::nonNull).findFirst();
    if (problem.isPresent()) {
      throw new IOException(problem.get());
    }
  }

  private static long checksum(Chunk chunk, MemorySegment data, @Nullable FileChannel source)
      throws IOException {
    CRC32C sum = new CRC32C();
    for (int done = 0; done < chunk.bytes; done += PIECE_BYTES) {
      long from = chunk.offset + done;
      int bytes = Math.min(PIECE_BYTES, chunk.bytes - done);
      ByteBuffer piece = data.asSlice(from, bytes).asByteBuffer();
      if (source != null) {
        readFully(source, from, piece);
        piece.flip();
      }
      sum.update(piece);
    }
    return sum.getValue();
  }

  /** A matrix's bytes, as long as this is open; empty: there is none of such tensors and size. */
  Optional<MemorySegment> matrix(Shape shape, long bytes) {
    return Optional.ofNullable(matrices.get(shape))
        .filter(matrix -> matrix.bytes() == bytes)
        .map(matrix -> data.asSlice(matrix.offset(), bytes));
  }

  /** Whether weights lie in the file's own pages. */
  boolean isMapped() {
    return mapped;
  }

  @Override
  public void close() {
    arena.close();
    try {
      file.close();
    } catch (IOException ignored) {
      // Nothing was to be read any more.
    }
  }
}
