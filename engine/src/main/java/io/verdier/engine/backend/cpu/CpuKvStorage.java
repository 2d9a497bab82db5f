package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend.KvShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Keys and values in float32. Owned by the executor thread; compute threads write disjoint tokens.
 *
 * <pre>
 *   block    [layer][group of 16 tokens][keys | values]
 *   keys     [head][headDim][16 tokens]      what one score kernel reads in order
 *   values   [head][16 tokens][headDim]      what one value kernel reads in order
 * </pre>
 *
 * <p>A block of all layers is contiguous, so that it can be copied out whole. Memory appears when a
 * block is first written. The first few blocks come from the arena and the rest as one mapping when
 * needed, because the foreign-function machinery behind the mapping takes a tenth of a second to
 * wake in a cold JVM, and a short first answer does well without it.
 */
final class CpuKvStorage extends HostKvStorage {
  static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT.withOrder(ByteOrder.nativeOrder());
  private static final int GROUP = AttendWork.GROUP;
  private static final long FIRST_BYTES = 16L << 20;

  private final KvShape shape;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment first; // blocks below firstBlocks
  private final int firstBlocks;
  private @Nullable MemorySegment rest; // the others; set by the executor thread between jobs
  private final int groups; // of 16 tokens in a block
  private final long headBytes; // keys, or values, of one head and group

  CpuKvStorage(KvShape shape) {
    if (shape.blockTokens() % GROUP != 0 || shape.blockTokens() < GROUP) {
      throw new IllegalArgumentException(
          "block size is " + shape.blockTokens() + "; on the CPU it must be a multiple of 16.");
    }
    this.shape = shape;
    groups = shape.blockTokens() / GROUP;
    headBytes = (long) shape.headDim() * GROUP * Float.BYTES;
    firstBlocks = (int) Math.min(shape.blocks(), Math.max(1, FIRST_BYTES / blockBytes()));
    first = NativeMemory.allocate(blockBytes() * firstBlocks, arena);
  }

  @Override
  public KvShape shape() {
    return shape;
  }

  /** Makes sure that a block has memory. */
  void require(int block) {
    Objects.checkIndex(block, shape.blocks());
    if (block >= firstBlocks && rest == null) {
      rest = NativeMemory.allocate(blockBytes() * (shape.blocks() - firstBlocks), arena);
    }
  }

  /** The memory that holds a position's block. */
  MemorySegment data(int[] table, int position) {
    if (table[position / shape.blockTokens()] < firstBlocks) {
      return first;
    }
    MemorySegment data = rest;
    if (data == null) {
      throw new IllegalStateException("a block is read that was never written");
    }
    return data;
  }

  @Override
  public long blockBytes() {
    return 2L * shape.layers() * groups * shape.heads() * headBytes;
  }

  @Override
  MemorySegment block(int index) {
    require(index);
    MemorySegment later = rest;
    return index < firstBlocks || later == null
        ? first.asSlice(index * blockBytes(), blockBytes())
        : later.asSlice((index - firstBlocks) * blockBytes(), blockBytes());
  }

  @Override
  public void vacate() {
    NativeMemory.vacate(first);
    if (rest != null) {
      NativeMemory.vacate(rest);
    }
  }

  /** Where in {@link #data} a head's keys begin, for the group of tokens with a position. */
  long keys(int[] table, int position, int layer, int head) {
    int block = table[position / shape.blockTokens()];
    int inRegion = block < firstBlocks ? block : block - firstBlocks;
    int group = position % shape.blockTokens() / GROUP;
    long plane = ((long) layer * groups + group) * 2 * shape.heads() + head;
    return inRegion * blockBytes() + plane * headBytes;
  }

  /** Where the values begin whose keys begin there. */
  long values(long keys) {
    return keys + shape.heads() * headBytes;
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
