package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The disk tier's bytes: blocks in slots of equal size. Thread-safe: slots are independent, and the
 * books see to it that nobody writes one that somebody else reads or writes.
 *
 * <pre>
 *   index    head: 64 bytes | entry of slot 0: 64 bytes | entry of slot 1 | …
 *   blocks   contents of slot 0, to a page | contents of slot 1 | …
 *
 *   head     magic: 8 | version: u32 | CRC-32C of the rest: u32 | identity: 32 | block bytes: u64
 *   entry    name: 32 | stamp: u64 | CRC-32C of the block: u32 | … | slot: u32 | CRC-32C of the
 *            entry's first 60 bytes: u32, all little-endian; all zero: nothing is there
 * </pre>
 *
 * <p><b>Crashes.</b> A write clears the entry, then writes the block, then the entry: a process
 * that is killed in between leaves a slot without an entry. A machine that loses its power may lose
 * or reorder any of it; then the checksum of what is read is wrong. So nothing half-written is
 * used, and no write waits for the disk ({@code fsync}): a cache may forget.
 *
 * <p><b>Reading</b> compares the whole name, the checksum of the entry and that of the block, each
 * time. What does not fit is not there.
 *
 * <p>One process at a time has the files; a lock says so, which the system drops when it dies.
 */
public final class DiskFile implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DiskFile.class);

  /** Of the files' form; what the blocks mean is in {@link Identity}. */
  static final int VERSION = 1;

  static final long MAGIC = 0x31564b5245445256L; // VRDERKV1
  static final int ENTRY_BYTES = 64;
  private static final int PAGE_BYTES = 4096;
  private static final int SUMMED_BYTES = ENTRY_BYTES - Integer.BYTES;

  static final String INDEX = "index";
  static final String BLOCKS = "blocks";

  private final DirectoryLock lock;
  private final FileChannel index;
  private final FileChannel blocks;
  private final long blockBytes;
  private final int slots;
  private final List<Found> found;
  private long stamp; // guarded by this
  private boolean complained; // guarded by this

  /**
   * Whose blocks these are: everything that decides what their bytes mean. Immutable.
   *
   * @param digest 32 bytes over it
   * @param blockBytes of one block
   */
  public record Identity(byte[] digest, long blockBytes) {
    public Identity {
      digest = digest.clone();
    }
  }

  /** Contents that were there when the files were opened. Immutable. */
  public record Found(int slot, BlockHash name, long stamp) {}

  private DiskFile(Path directory, DirectoryLock lock, Identity identity, long bytesMax)
      throws IOException {
    this.lock = lock;
    this.blockBytes = identity.blockBytes();
    slots = (int) Math.min(bytesMax / stride(), Integer.MAX_VALUE / 4);
    index = open(directory.resolve(INDEX));
    blocks = open(directory.resolve(BLOCKS));
    if (!headIs(identity)) {
      index.truncate(0);
      blocks.truncate(0);
      writeFully(index, head(identity), 0);
    }
    if (index.size() > entryAt(slots)) { // the bound was lowered
      index.truncate(entryAt(slots));
    }
    if (blocks.size() > slots * stride()) {
      blocks.truncate(slots * stride());
    }
    found = scan();
    stamp = found.isEmpty() ? 1 : found.getLast().stamp + 1;
  }

  private static FileChannel open(Path path) throws IOException {
    return FileChannel.open(
        path, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
  }

  /**
   * Opens the files in a directory, which is made where there is none. What is not of this form, or
   * of another identity, is thrown away.
   *
   * @param directory for nothing else
   * @param bytesMax that the blocks may take
   * @return empty if another process has them, or another model of this one
   * @throws IOException if the directory cannot be used
   */
  public static Optional<DiskFile> open(Path directory, Identity identity, long bytesMax)
      throws IOException {
    Files.createDirectories(directory);
    Optional<DirectoryLock> lock = DirectoryLock.tryTake(directory);
    if (lock.isEmpty()) {
      return Optional.empty();
    }
    try {
      return Optional.of(new DiskFile(directory, lock.get(), identity, bytesMax));
    } catch (IOException | RuntimeException | Error e) {
      lock.get().close();
      throw e;
    }
  }

  /** Blocks that fit. */
  public int slots() {
    return slots;
  }

  /** What was there at the start, the least recently used first. */
  public List<Found> found() {
    return found;
  }

  /**
   * Writes a block.
   *
   * @param block its pieces, which lie one behind the other on the disk
   * @return whether all went well; if not, nothing is in the slot
   */
  public boolean write(int slot, BlockHash name, MemorySegment... block) {
    ByteBuffer[] pieces = checked(block);
    try {
      erase(slot);
      int sum = sum(pieces);
      long at = slot * stride();
      for (ByteBuffer piece : pieces) {
        writeFully(blocks, piece.rewind(), at);
        at += piece.capacity();
      }
      writeFully(index, entry(slot, name, nextStamp(), sum), entryAt(slot));
      return true;
    } catch (IOException failed) {
      complain(failed);
      return false;
    }
  }

  /**
   * Reads a block.
   *
   * @param block its pieces, of the sizes in which it was written or others
   * @return whether it is, to the bit, what was written under this name; if not, what is in {@code
   *     block} means nothing
   */
  public boolean read(int slot, BlockHash name, MemorySegment... block) {
    ByteBuffer[] pieces = checked(block);
    try {
      ByteBuffer entry = ByteBuffer.allocate(ENTRY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      if (!readFully(index, entry, entryAt(slot)) || !name.equals(name(entry, slot))) {
        return false;
      }
      int sum = entry.getInt(BLOCK_SUM);
      long at = slot * stride();
      for (ByteBuffer piece : pieces) {
        if (!readFully(blocks, piece, at)) {
          return false;
        }
        at += piece.capacity();
      }
      if (sum(pieces) != sum) {
        return false;
      }
      writeFully(index, entry(slot, name, nextStamp(), sum), entryAt(slot)); // it was of use
      return true;
    } catch (IOException failed) {
      complain(failed);
      return false;
    }
  }

  /** Takes away what is in a slot. */
  public void erase(int slot) throws IOException {
    if (index.size() > entryAt(slot)) {
      writeFully(index, ByteBuffer.allocate(ENTRY_BYTES), entryAt(slot));
    }
  }

  private ByteBuffer[] checked(MemorySegment... block) {
    long bytes = Arrays.stream(block).mapToLong(MemorySegment::byteSize).sum();
    if (bytes != blockBytes) {
      throw new IllegalStateException(bytes + " bytes for blocks of " + blockBytes);
    }
    return Arrays.stream(block).map(MemorySegment::asByteBuffer).toArray(ByteBuffer[]::new);
  }

  private synchronized long nextStamp() {
    return stamp++;
  }

  /** The first failure is told, the others are counted by whoever asked. */
  private synchronized void complain(IOException failed) {
    if (!complained) {
      complained = true;
      LOG.warn("The prefix cache on the disk fails; what fails is computed instead", failed);
    }
  }

  private long stride() {
    return Math.ceilDiv(blockBytes, PAGE_BYTES) * PAGE_BYTES;
  }

  private static long entryAt(int slot) {
    return (slot + 1L) * ENTRY_BYTES;
  }

  // ---- Head and entries ----------------------------------------------------------------------

  private static final int HEAD_SUM = 12;
  private static final int HEAD_SUMMED_FROM = 16;
  private static final int STAMP = 32;
  private static final int BLOCK_SUM = 40;
  private static final int SLOT = 56;

  private static ByteBuffer head(Identity identity) {
    ByteBuffer head = ByteBuffer.allocate(ENTRY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    head.putLong(0, MAGIC).putInt(8, VERSION);
    head.put(HEAD_SUMMED_FROM, identity.digest()).putLong(48, identity.blockBytes());
    head.putInt(HEAD_SUM, sum(head.slice(HEAD_SUMMED_FROM, ENTRY_BYTES - HEAD_SUMMED_FROM)));
    return head;
  }

  private boolean headIs(Identity identity) throws IOException {
    ByteBuffer there = ByteBuffer.allocate(ENTRY_BYTES);
    return readFully(index, there, 0) && there.rewind().equals(head(identity).rewind());
  }

  private static ByteBuffer entry(int slot, BlockHash name, long stamp, int sum) {
    ByteBuffer entry = ByteBuffer.allocate(ENTRY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    entry.putLong(0, name.a()).putLong(8, name.b()).putLong(16, name.c()).putLong(24, name.d());
    entry.putLong(STAMP, stamp).putInt(BLOCK_SUM, sum).putInt(SLOT, slot);
    return entry.putInt(SUMMED_BYTES, sum(entry.slice(0, SUMMED_BYTES)));
  }

  /** The name in an entry; null if it is not one of this slot. */
  private static @Nullable BlockHash name(ByteBuffer entry, int slot) {
    boolean good =
        entry.getInt(SLOT) == slot
            && entry.getLong(STAMP) > 0
            && entry.getInt(SUMMED_BYTES) == sum(entry.slice(0, SUMMED_BYTES));
    return good
        ? new BlockHash(entry.getLong(0), entry.getLong(8), entry.getLong(16), entry.getLong(24))
        : null;
  }

  private List<Found> scan() throws IOException {
    List<Found> all = new ArrayList<>();
    int entries = (int) Math.min(slots, index.size() / ENTRY_BYTES - 1);
    int batch = PAGE_BYTES / ENTRY_BYTES * 16;
    for (int from = 0; from < entries; from += batch) {
      int count = Math.min(batch, entries - from);
      ByteBuffer some = ByteBuffer.allocate(count * ENTRY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
      if (!readFully(index, some, entryAt(from))) {
        break;
      }
      for (int i = 0; i < count; i++) {
        ByteBuffer entry = some.slice(i * ENTRY_BYTES, ENTRY_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        BlockHash name = name(entry, from + i);
        if (name != null) {
          all.add(new Found(from + i, name, entry.getLong(STAMP)));
        }
      }
    }
    all.sort(Comparator.comparingLong(Found::stamp));
    return List.copyOf(all);
  }

  private static int sum(ByteBuffer... pieces) {
    CRC32C crc = new CRC32C();
    for (ByteBuffer piece : pieces) {
      crc.update(piece.rewind());
    }
    return (int) crc.getValue();
  }

  private static void writeFully(FileChannel channel, ByteBuffer bytes, long at)
      throws IOException {
    long position = at;
    while (bytes.hasRemaining()) {
      position += channel.write(bytes, position);
    }
  }

  /** Whether so many bytes were there. */
  private static boolean readFully(FileChannel channel, ByteBuffer bytes, long at)
      throws IOException {
    long position = at;
    while (bytes.hasRemaining()) {
      int count = channel.read(bytes, position);
      if (count < 0) {
        return false;
      }
      position += count;
    }
    return true;
  }

  @Override
  public void close() {
    for (Closeable each : List.of(index, blocks, lock)) {
      try {
        each.close();
      } catch (IOException failed) {
        complain(failed);
      }
    }
  }
}
