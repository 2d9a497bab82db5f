package io.verdier.engine.lora;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.HostCopy;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which adapter is in which slot. Owned by the executor thread; before there is one, by whoever
 * loads the model.
 *
 * <p>Adapters lie ready in host memory, each in a room. A sequence has its adapter's slot from when
 * it starts until it is forgotten; an adapter that is in none then gets the one that has been
 * unused longest. There always is one, because the scheduler has no more adapters running than
 * there are slots. The copy is made beside the steps before, and only the device waits for it.
 *
 * <p>A room is filled by another thread, which has it until it is lent, and again when it has been
 * recalled. Until then copies are made from it, and on the CPU steps compute with it.
 */
public final class AdapterSlots implements AutoCloseable {
  /** In place of a slot: there is no such adapter. */
  public static final int UNKNOWN = -2;

  private final LoraSlots slots;
  private final List<LoraImage> rooms = new ArrayList<>(); // as it is when the executor begins
  private final Map<String, LoraImage> lent = new HashMap<>(); // by identity
  private final Slot[] bySlot;
  private long time;
  private long loads;
  private volatile long shownLoads;

  /** What one slot has. Owned like the whole. */
  private static final class Slot {
    private String identity = ""; // of what it holds; empty: nothing that can be entered
    private int users; // sequences
    private long left; // when the last of them did
    private @Nullable HostCopy copy; // the last one that was made
    private @Nullable Runnable unused; // told when the last of them leaves; null: nobody
  }

  public AdapterSlots(LoraSlots slots) {
    this.slots = slots;
    bySlot = new Slot[slots.shape().slots()];
    Arrays.setAll(bySlot, slot -> new Slot());
  }

  /**
   * Reserves host memory for so many adapters, beside those that were added.
   *
   * @throws io.verdier.engine.backend.DeviceException when a device refuses the memory
   */
  public void reserve(int count) {
    for (int i = 0; i < count; i++) {
      rooms.add(slots.image());
    }
  }

  /** Rooms that are reserved. */
  public int roomCount() {
    return rooms.size();
  }

  /** A room, for whoever has it to fill. Any thread. */
  public LoraImage room(int index) {
    return rooms.get(index);
  }

  /** What the slots take on the device, whatever they hold. Any thread. */
  public long deviceBytes() {
    return slots.slotBytes() * bySlot.length;
  }

  /**
   * Lays an adapter out in host memory, in a room of its own; of the same identity there is one.
   *
   * @throws io.verdier.engine.backend.DeviceException when a device refuses the memory
   */
  public void add(String identity, List<LoraFactors> factors) {
    if (lent.containsKey(identity)) {
      return;
    }
    reserve(1);
    rooms.getLast().fill(factors);
    lend(identity, rooms.size() - 1);
  }

  /** What there is room for. */
  public LoraShape shape() {
    return slots.shape();
  }

  /** Times that an adapter was put into a slot. Any thread. */
  public long loads() {
    return shownLoads;
  }

  /** An adapter lies in a room, and sequences may name it. */
  public void lend(String identity, int room) {
    if (lent.put(identity, rooms.get(room)) != null) {
      throw new IllegalStateException("adapter " + identity + " is lent twice");
    }
  }

  /**
   * Sequences that start from now on do not find the adapter.
   *
   * @param returned run when nothing reads its room any more: now, or when the last sequence that
   *     has it is forgotten
   */
  public void recall(String identity, Runnable returned) {
    if (lent.remove(identity) == null) {
      throw new IllegalStateException("adapter " + identity + " is not lent");
    }
    for (Slot slot : bySlot) {
      if (slot.identity.equals(identity)) {
        slot.identity = "";
        slot.unused = returned;
        giveBackIfUnused(slot);
        return;
      }
    }
    returned.run();
  }

  private static void giveBackIfUnused(Slot slot) {
    Runnable told = slot.unused;
    if (slot.users > 0 || told == null) {
      return;
    }
    finishCopy(slot);
    slot.unused = null;
    told.run();
  }

  /** So that what the device keeps for it is given back. */
  private static void finishCopy(Slot slot) {
    HostCopy copy = slot.copy;
    if (copy != null) {
      copy.await(); // made long ago, as a rule: steps have waited for it
      slot.copy = null;
    }
  }

  /**
   * A sequence starts.
   *
   * @param identity of its adapter; empty: none
   * @return its slot, {@link AttentionBatch#NO_ADAPTER} or {@link #UNKNOWN}
   */
  public int enter(String identity) {
    if (identity.isEmpty()) {
      return AttentionBatch.NO_ADAPTER;
    }
    LoraImage image = lent.get(identity);
    if (image == null) {
      return UNKNOWN;
    }
    int index = indexOf(identity);
    if (index < 0) {
      index = longestUnused();
      load(index, identity, image);
    }
    bySlot[index].users++;
    return index;
  }

  private int indexOf(String identity) {
    for (int i = 0; i < bySlot.length; i++) {
      if (bySlot[i].identity.equals(identity)) {
        return i;
      }
    }
    return -1;
  }

  private void load(int index, String identity, LoraImage image) {
    Slot slot = bySlot[index];
    slot.identity = ""; // if loading fails
    finishCopy(slot);
    HostCopy copy = slots.load(index, image);
    slot.copy = copy;
    copy.holdSteps();
    slot.identity = identity;
    shownLoads = ++loads;
  }

  /**
   * A sequence is forgotten.
   *
   * @param slot as it was given
   */
  public void leave(int slot) {
    if (slot >= 0) {
      bySlot[slot].users--;
      bySlot[slot].left = ++time;
      giveBackIfUnused(bySlot[slot]);
    }
  }

  private int longestUnused() {
    int found = -1;
    for (int i = 0; i < bySlot.length; i++) {
      if (bySlot[i].users == 0 && (found < 0 || bySlot[i].left < bySlot[found].left)) {
        found = i;
      }
    }
    if (found < 0) {
      throw new IllegalStateException("more adapters at once than the " + bySlot.length + " slots");
    }
    return found;
  }

  /** Frees the rooms once nothing is copied from them. */
  @Override
  public void close() {
    lent.clear();
    try {
      Arrays.stream(bySlot).forEach(AdapterSlots::finishCopy);
    } finally {
      rooms.forEach(LoraImage::close);
      rooms.clear();
    }
  }
}
