package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend.KvShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Keys and values in bfloat16 ({@code verdier.h} has the picture). Owned by the executor thread;
 * compute threads write disjoint tokens. Memory appears when a block is first written.
 */
final class NativeKvStorage extends HostKvStorage {
  static final int GROUP = 16; // tokens in a plane

  private final KvShape shape;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment data;
  private final long planeBytes; // keys, or values, of one head and 16 tokens
  private final int groups; // of 16 tokens in a block

  NativeKvStorage(KvShape shape) {
    if (shape.blockTokens() % GROUP != 0 || shape.blockTokens() < GROUP) {
      throw new IllegalArgumentException(
          "block size is " + shape.blockTokens() + "; on the CPU it must be a multiple of 16.");
    }
    this.shape = shape;
    groups = shape.blockTokens() / GROUP;
    planeBytes = (long) pad(shape.headDim()) * GROUP * Short.BYTES;
    data = NativeMemory.allocate(blockBytes() * shape.blocks(), arena);
  }

  /** Head dimensions are stored in whole groups. */
  private static int pad(int headDim) {
    return (headDim + 31) / 32 * 32;
  }

  @Override
  public KvShape shape() {
    return shape;
  }

  long address() {
    return data.address();
  }

  @Override
  public long blockBytes() {
    return 2L * shape.layers() * groups * shape.heads() * planeBytes;
  }

  @Override
  MemorySegment block(int index) {
    return data.asSlice(index * blockBytes(), blockBytes());
  }

  @Override
  public void vacate() {
    NativeMemory.vacate(data);
  }

  /** Bytes from a block's begin to those of a layer. */
  long layerOffset(int layer) {
    return 2L * layer * groups * shape.heads() * planeBytes;
  }

  /** Where the key planes begin that hold a position, in bytes from the storage's begin. */
  long planes(int[] table, int position, int layer) {
    int block = Objects.checkIndex(table[position / shape.blockTokens()], shape.blocks());
    int group = position % shape.blockTokens() / GROUP;
    return block * blockBytes() + layerOffset(layer) + 2L * group * shape.heads() * planeBytes;
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
