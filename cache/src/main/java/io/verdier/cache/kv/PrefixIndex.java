package io.verdier.cache.kv;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Finds the block that holds given contents. Owned by the scheduler thread.
 *
 * <p>A name leads to one block and a block has at most one name. Of two blocks with equal contents
 * the first entered stays; the other is simply never found and goes back to the pool as worthless.
 *
 * <p>An open table of block numbers, never more than half full, probed onwards from the name's own
 * bits; a removal moves later entries back, so there are no tombstones and a table that has seen a
 * million evictions is as fast as a new one. A {@code HashMap} would box two objects per block.
 */
public final class PrefixIndex {
  private static final int NONE = -1;

  private final int[] slots; // block + 1, 0: empty
  private final int mask;
  private final @Nullable BlockHash[] names; // by block
  private int size;

  public PrefixIndex(int blockCount) {
    int slotCount = Integer.highestOneBit(Math.max(2, blockCount)) << 2;
    slots = new int[slotCount];
    mask = slotCount - 1;
    names = new BlockHash[blockCount];
  }

  /** Blocks that can be found. */
  public int size() {
    return size;
  }

  public boolean contains(int block) {
    return names[block] != null;
  }

  /** What a block holds; null where it cannot be found. */
  public @Nullable BlockHash name(int block) {
    return names[block];
  }

  /** The block with these contents, -1 where there is none. */
  public int find(BlockHash name) {
    for (int slot = home(name); slots[slot] != 0; slot = (slot + 1) & mask) {
      if (name.equals(names[slots[slot] - 1])) {
        return slots[slot] - 1;
      }
    }
    return NONE;
  }

  /** Enters a block unless its contents are found elsewhere already. */
  public void add(BlockHash name, int block) {
    if (names[block] != null) {
      throw new IllegalStateException("block " + block + " is entered twice");
    }
    int slot = home(name);
    while (slots[slot] != 0) {
      if (name.equals(names[slots[slot] - 1])) {
        return;
      }
      slot = (slot + 1) & mask;
    }
    slots[slot] = block + 1;
    names[block] = name;
    size++;
  }

  /** Makes a block unfindable; nothing happens where it is already. */
  public void remove(int block) {
    BlockHash name = names[block];
    if (name == null) {
      return;
    }
    int hole = home(name);
    while (slots[hole] != block + 1) {
      hole = (hole + 1) & mask;
    }
    names[block] = null;
    size--;
    close(hole);
  }

  /** Moves back every later entry of the run that a probe would no longer reach past the hole. */
  private void close(int hole) {
    int gap = hole;
    for (int slot = (gap + 1) & mask; slots[slot] != 0; slot = (slot + 1) & mask) {
      BlockHash name = Objects.requireNonNull(names[slots[slot] - 1]);
      if (((slot - home(name)) & mask) >= ((slot - gap) & mask)) {
        slots[gap] = slots[slot];
        gap = slot;
      }
    }
    slots[gap] = 0;
  }

  private int home(BlockHash name) {
    return (int) name.b() & mask;
  }
}
