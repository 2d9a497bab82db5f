package io.verdier.engine.lora;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Which adapter is in which slot. Owned by the executor thread; before there is one, by whoever
 * loads the model.
 *
 * <p>Every adapter lies ready in host memory. A sequence has its adapter's slot from when it starts
 * until it is forgotten; an adapter that is in none then gets the one that has been unused longest.
 * There always is one, because the scheduler has no more adapters running than there are slots. The
 * copy is made beside the steps before, and only the device waits for it.
 */
public final class AdapterSlots implements AutoCloseable {
  /** In place of a slot: there is no such adapter. */
  public static final int UNKNOWN = -2;

  private final LoraSlots slots;
  private final Map<String, LoraImage> images = new HashMap<>();
  private final String[] held; // identity by slot; empty: nothing
  private final int[] users; // sequences by slot
  private final long[] left; // when the last of them did, by slot
  private long time;
  private long loads;

  public AdapterSlots(LoraSlots slots) {
    this.slots = slots;
    int count = slots.shape().slots();
    held = new String[count];
    Arrays.fill(held, "");
    users = new int[count];
    left = new long[count];
  }

  /**
   * Lays an adapter out in host memory; of the same identity there is one.
   *
   * @throws io.verdier.engine.backend.DeviceException when a device refuses the memory
   */
  public void add(String identity, List<LoraFactors> factors) {
    if (images.containsKey(identity)) {
      return;
    }
    LoraImage image = slots.image();
    try {
      image.fill(factors);
    } catch (RuntimeException | Error e) {
      image.close();
      throw e;
    }
    images.put(identity, image);
  }

  /** What there is room for. */
  public LoraShape shape() {
    return slots.shape();
  }

  /** Times that an adapter was put into a slot. */
  public long loads() {
    return loads;
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
    LoraImage image = images.get(identity);
    if (image == null) {
      return UNKNOWN;
    }
    int slot = Arrays.asList(held).indexOf(identity);
    if (slot < 0) {
      slot = longestUnused();
      held[slot] = ""; // if loading fails
      slots.load(slot, image).holdSteps();
      held[slot] = identity;
      loads++;
    }
    users[slot]++;
    return slot;
  }

  /**
   * A sequence is forgotten.
   *
   * @param slot as it was given
   */
  public void leave(int slot) {
    if (slot >= 0) {
      users[slot]--;
      left[slot] = ++time;
    }
  }

  private int longestUnused() {
    int found = -1;
    for (int slot = 0; slot < held.length; slot++) {
      if (users[slot] == 0 && (found < 0 || left[slot] < left[found])) {
        found = slot;
      }
    }
    if (found < 0) {
      throw new IllegalStateException("more adapters at once than the " + held.length + " slots");
    }
    return found;
  }

  @Override
  public void close() {
    images.values().forEach(LoraImage::close);
    images.clear();
  }
}
