package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.HostBlocks;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;

/** Records outside the heap. Owned by the executor thread. Memory appears as it is written. */
final class CpuHostBlocks implements HostBlocks {
  private final Arena arena = Arena.ofShared();
  private final MemorySegment data;
  private final long blockBytes;
  private final int slots;

  CpuHostBlocks(long blockBytes, int slots) {
    this.blockBytes = blockBytes;
    this.slots = slots;
    data = NativeMemory.allocate(Math.multiplyExact(blockBytes, slots), arena);
  }

  long blockBytes() {
    return blockBytes;
  }

  @Override
  public int slots() {
    return slots;
  }

  @Override
  public List<MemorySegment> pieces(int slot) {
    return List.of(record(slot));
  }

  MemorySegment record(int slot) {
    return data.asSlice(Objects.checkIndex(slot, slots) * blockBytes, blockBytes);
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
