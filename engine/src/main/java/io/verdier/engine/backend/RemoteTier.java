package io.verdier.engine.backend;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.host.DiskFile.Identity;
import io.verdier.cache.kv.BlockHash;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Slots of host memory as cache nodes are given them. Thread-safe: whoever asks holds the slots,
 * and memory is not freed while any is copied.
 *
 * <p>A block leaves with its checksum and comes back with it: what comes is believed only if it has
 * the bits that some engine computed.
 */
public final class RemoteTier implements AutoCloseable {
  /** Larger blocks do not go to cache nodes. Such a block would have thousands of tokens. */
  public static final int BLOCK_BYTES_MAX = 256 << 20;

  private final HostBlocks host;
  private final BlockHash identity;
  private final int blockBytes;
  private final ReadWriteLock open = new ReentrantReadWriteLock(); // read: memory is used
  private boolean closed; // guarded by it

  /**
   * @param host stays the caller's, and is to be closed behind this
   * @param identity what decides the bits of a block, besides its name
   */
  public RemoteTier(HostBlocks host, Identity identity) {
    this.host = host;
    ByteBuffer digest = ByteBuffer.wrap(identity.digest());
    this.identity =
        new BlockHash(digest.getLong(), digest.getLong(), digest.getLong(), digest.getLong());
    blockBytes = Math.toIntExact(identity.blockBytes());
  }

  /** What decides the bits of a block, besides its name. */
  public BlockHash identity() {
    return identity;
  }

  public int blockBytes() {
    return blockBytes;
  }

  /** A copy of what is in a slot; null after the end. */
  public @Nullable Block copyOf(int slot) {
    open.readLock().lock();
    try {
      if (closed) {
        return null;
      }
      byte[] contents = new byte[blockBytes];
      int at = 0;
      for (MemorySegment piece : host.pieces(slot)) {
        int bytes = Math.toIntExact(piece.byteSize());
        MemorySegment.copy(piece, ValueLayout.JAVA_BYTE, 0, contents, at, bytes);
        at += bytes;
      }
      return new Block(contents, sum(contents));
    } finally {
      open.readLock().unlock();
    }
  }

  /**
   * Fills a slot.
   *
   * @return false where the block is not whole, or after the end; nothing is touched then
   */
  public boolean fill(int slot, Block block) {
    byte[] contents = block.contents();
    if (contents.length != blockBytes || sum(contents) != block.sum()) {
      return false;
    }
    open.readLock().lock();
    try {
      if (closed) {
        return false;
      }
      int at = 0;
      List<MemorySegment> pieces = host.pieces(slot);
      for (MemorySegment piece : pieces) {
        int bytes = Math.toIntExact(piece.byteSize());
        MemorySegment.copy(contents, at, piece, ValueLayout.JAVA_BYTE, 0, bytes);
        at += bytes;
      }
      return true;
    } finally {
      open.readLock().unlock();
    }
  }

  private static int sum(byte[] contents) {
    CRC32C crc = new CRC32C();
    crc.update(contents);
    return (int) crc.getValue();
  }

  /** Waits for copies that are under way. */
  @Override
  public void close() {
    open.writeLock().lock();
    try {
      closed = true;
    } finally {
      open.writeLock().unlock();
    }
  }
}
