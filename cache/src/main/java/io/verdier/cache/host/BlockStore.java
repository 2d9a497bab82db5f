package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Blocks that a cache node keeps for engines, off the Java heap. Owned by the cache node's actor.
 *
 * <p>Whose bits they are, an identity, is part of every name: engines that compute other bits find
 * none of each other's blocks. All share one bound, and the least recently used block of whomever
 * goes first. Memory is taken as it is needed; blocks that give way to some of the same size hand
 * over theirs, which is the common case.
 *
 * <p>Contents come with the checksum that the engine made which computed them, and go with it: it
 * is for the reader to check, so that whatever befalls the bytes on the way or here is noticed.
 */
public final class BlockStore implements AutoCloseable {
  private final long bytesMax;
  private final Map<Key, Held> held = new LinkedHashMap<>(16, 0.75f, true); // oldest use first
  private long bytes;
  private long evictions;

  private record Key(BlockHash identity, BlockHash name) {}

  private record Held(Arena arena, MemorySegment contents, int sum) {}

  /**
   * A block as it was given. Immutable; who gets it owns the bytes.
   *
   * @param sum CRC-32C
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over, never compared
  public record Block(byte[] contents, int sum) {}

  /**
   * @param bytesMax that all contents together may take
   */
  public BlockStore(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  /** Whether a block is here; it counts as used. */
  public boolean touch(BlockHash identity, BlockHash name) {
    return held.get(new Key(identity, name)) != null;
  }

  /** A copy of a block; null if it is not here. */
  public @Nullable Block find(BlockHash identity, BlockHash name) {
    Held one = held.get(new Key(identity, name));
    return one == null ? null : new Block(one.contents.toArray(ValueLayout.JAVA_BYTE), one.sum);
  }

  /**
   * Keeps a block in place of those that were used least recently.
   *
   * @return false if it alone is too large
   */
  public boolean keep(BlockHash identity, BlockHash name, Block block) {
    Key key = new Key(identity, name);
    long size = block.contents.length;
    if (size > bytesMax) {
      return false;
    }
    Held room = held.remove(key);
    while (room == null || room.contents.byteSize() != size) {
      if (room != null) {
        free(room);
        room = null;
      }
      if (bytes + size <= bytesMax) {
        room = take(size);
      } else {
        room = evict();
      }
    }
    MemorySegment.copy(block.contents, 0, room.contents, ValueLayout.JAVA_BYTE, 0, (int) size);
    held.put(key, new Held(room.arena, room.contents, block.sum));
    return true;
  }

  @SuppressWarnings("MustBeClosedChecker") // who holds it is freed by free()
  private Held take(long size) {
    Arena arena = Arena.ofShared(); // a worker's thread may be another one tomorrow
    bytes += size;
    return new Held(arena, arena.allocate(size), 0);
  }

  /** The one that was used least recently, which nobody finds any more. */
  private Held evict() {
    Iterator<Held> oldest = held.values().iterator();
    Held one = oldest.next();
    oldest.remove();
    evictions++;
    return one;
  }

  private void free(Held one) {
    bytes -= one.contents.byteSize();
    one.arena.close();
  }

  /** Takes a block away that may be wrong. */
  public void erase(BlockHash identity, BlockHash name) {
    Held one = held.remove(new Key(identity, name));
    if (one != null) {
      free(one);
    }
  }

  /** Takes away all blocks with these bits. */
  public void forget(BlockHash identity) {
    held.entrySet()
        .removeIf(
            entry -> {
              boolean is = entry.getKey().identity.equals(identity);
              if (is) {
                free(entry.getValue());
              }
              return is;
            });
  }

  public int blocks() {
    return held.size();
  }

  /** Memory that is taken. */
  public long bytes() {
    return bytes;
  }

  public long bytesMax() {
    return bytesMax;
  }

  /** Blocks that gave way to others. */
  public long evictions() {
    return evictions;
  }

  @Override
  public void close() {
    held.values().forEach(this::free);
    held.clear();
  }
}
