package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;
import io.verdier.cache.kv.BlockPool;
import io.verdier.cache.kv.PrefixIndex;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * Which contents lie in which slot of a tier. Owned by the scheduler thread.
 *
 * <p>A slot is to a tier what a block is to the device, so the books are the same: {@link
 * PrefixIndex} finds contents, and {@link BlockPool} lines the slots up that nobody works with, the
 * least recently used first. Who copies from or to a slot pins it, and a pinned slot is in no line:
 * it is not given to others until the copy has been made, however full the tier is.
 *
 * <pre>
 *            reserve                 fill                     pin
 *   free ─────────────▶ being filled ─────▶ whole, in line ◀──────▶ whole, being read
 *     ▲                    │ abandon, or forgotten meanwhile │ reserve: evicted
 *     └────────────────────┴─────────────────────────────────┘
 * </pre>
 *
 * Contents are found only while they are whole; the names of those that are being filled are known,
 * so that nobody fills a second slot with the same.
 */
public final class TierSlots {
  /** No slot. */
  public static final int NONE = -1;

  private final BlockPool line;
  private final PrefixIndex index;
  private final BitSet whole = new BitSet();
  private long evictions;

  public TierSlots(int slots) {
    line = new BlockPool(slots);
    index = new PrefixIndex(slots);
  }

  public int count() {
    return line.blockCount();
  }

  /** Slots with contents, whole or not. */
  public int used() {
    return index.size();
  }

  /** Contents that gave way to others. */
  public long evictions() {
    return evictions;
  }

  /** The slot whose whole contents are these, else {@link #NONE}. */
  public int find(BlockHash name) {
    int slot = index.find(name);
    return slot != NONE && whole.get(slot) ? slot : NONE;
  }

  /** Whether a slot holds these contents, or will. */
  public boolean contains(BlockHash name) {
    return index.find(name) != NONE;
  }

  /** What a slot holds or will hold; null: nothing that can be found. */
  public @Nullable BlockHash name(int slot) {
    return index.name(slot);
  }

  /**
   * Takes the least recently used slot for contents that are in none.
   *
   * @return pinned; {@link #NONE} if all are
   */
  public int reserve(BlockHash name) {
    if (line.freeCount() == 0) {
      return NONE;
    }
    int slot = line.take();
    if (index.contains(slot)) {
      index.remove(slot);
      whole.clear(slot);
      evictions++;
    }
    index.add(name, slot);
    return slot;
  }

  /** Puts contents into a free slot that were there before the books were; the last are newest. */
  public void restore(int slot, BlockHash name) {
    if (index.contains(slot) || contains(name)) {
      return;
    }
    line.retain(slot);
    index.add(name, slot);
    fill(slot);
  }

  /**
   * A reserved slot's contents are whole.
   *
   * @return whether they are still wanted
   */
  public boolean fill(int slot) {
    boolean wanted = index.contains(slot);
    whole.set(slot, wanted);
    unpin(slot);
    return wanted;
  }

  /** A reserved slot will not be filled. */
  public void abandon(int slot) {
    index.remove(slot);
    unpin(slot);
  }

  /** Keeps a slot, whoever wants one. */
  public void pin(int slot) {
    line.retain(slot);
  }

  /** One pin fewer; with the last one the slot counts as just used. */
  public void unpin(int slot) {
    line.release(slot, whole.get(slot) ? BlockPool.Reuse.LATEST : BlockPool.Reuse.SOONEST);
  }

  /** Whole contents were used elsewhere: they shall not be the next to go. */
  public void touch(int slot) {
    pin(slot);
    unpin(slot);
  }

  /**
   * Makes contents unfindable, for good.
   *
   * @return the slot that has them or was to have them, {@link #NONE} if none
   */
  public int forget(BlockHash name) {
    int slot = index.find(name);
    if (slot != NONE) {
      index.remove(slot);
      whole.clear(slot);
      if (line.holders(slot) == 0) {
        touch(slot); // to the front of the line
      }
    }
    return slot;
  }

  /** The same of all contents. */
  public void forgetAll() {
    for (int slot = 0; slot < count(); slot++) {
      BlockHash name = index.name(slot);
      if (name != null) {
        forget(name);
      }
    }
  }

  /** How many work with a slot: for audits. */
  public int pins(int slot) {
    return line.holders(slot);
  }
}
