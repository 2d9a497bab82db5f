package io.verdier.engine.backend;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Objects;

/**
 * Host memory for blocks of one {@link KvStorage}, in records of equal size that are found by slot.
 * Owned by the executor thread. Which slot holds what is not known here.
 */
public interface HostBlocks extends AutoCloseable {

  /** A block of the storage and the slot that it is copied to or from. Immutable. */
  record Pair(int block, int slot) {}

  int slots();

  /**
   * A slot's record, of one piece or of one for each rank: together {@link KvStorage#blockBytes}
   * that mean something only to a storage of the same backend and shape. Not to be touched while a
   * copy from or to it is under way.
   */
  List<MemorySegment> pieces(int slot);

  /** Waits for copies that are under way, and frees the memory. */
  @Override
  void close();

  /** Refuses pairs that name a block or a slot that is not there. */
  static void requireAll(List<Pair> pairs, int blocks, int slots) {
    for (Pair pair : pairs) {
      Objects.checkIndex(pair.block, blocks);
      Objects.checkIndex(pair.slot, slots);
    }
  }
}
