package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Which rows of a step have which adapter, as kernels see it: integers in device memory at fixed
 * places, like {@link StepInputs}. Owned by the executor thread.
 *
 * <pre>
 *   counts    tiles                                                       8
 *   order     rows that have an adapter, by slot                          [rowsMax]
 *   places    of each row in the order, -1 for none                       [rowsMax]
 *   tiles     slot | first in the order | rows, at most 32 | -            4 × [tilesMax]
 * </pre>
 */
final class LoraInputs {
  static final int TILE_ROWS = 32; // the kernels'
  private static final int COUNTS = 8;
  private static final int TILE_INTS = 4;

  private final CudaDriver driver;
  private final Runnable onMove;
  private final int slots;
  private final int[] begins; // of each slot in the order, then behind the last
  private int rowsMax;
  private int slicesMax;
  private @Nullable MemorySegment host;
  private final DeviceBuffer device;
  private final CudaDriver.Event taken; // the device has read the host's side
  private @Nullable AttentionBatch batch; // that is on the device
  private long version;
  private int tiles;

  /**
   * @param onMove called when they are about to have another address
   */
  LoraInputs(CudaDriver driver, int slots, Runnable onMove) {
    this.driver = driver;
    this.onMove = onMove;
    this.slots = slots;
    begins = new int[slots + 1];
    device = new DeviceBuffer(driver);
    taken = driver.event();
  }

  /** Has a batch on the device. */
  LoraInputs on(AttentionBatch current) {
    if (current == batch && current.version() == version) {
      return this;
    }
    driver.await(taken);
    MemorySegment ints = reserve(current);
    count(current);
    put(ints, current);
    driver.copyIn(device.address(), ints, (tilesAt() + (long) TILE_INTS * tiles) * Integer.BYTES);
    batch = current;
    version = current.version();
    driver.record(taken);
    return this;
  }

  private MemorySegment reserve(AttentionBatch current) {
    MemorySegment present = host;
    if (present != null && current.rowsMax() <= rowsMax && current.slicesMax() <= slicesMax) {
      return present;
    }
    rowsMax = Math.max(rowsMax, current.rowsMax());
    slicesMax = Math.max(slicesMax, current.slicesMax());
    long bytes = (tilesAt() + (long) TILE_INTS * tilesMax()) * Integer.BYTES;
    device.reserve(bytes, onMove);
    if (present != null) {
      host = null;
      driver.freeHost(present);
    }
    MemorySegment fresh = driver.hostBuffer(bytes);
    host = fresh;
    return fresh;
  }

  /** Each slot has a last tile that may not be full, and no more slots occur than slices. */
  private int tilesMax() {
    return rowsMax / TILE_ROWS + Math.min(slots, slicesMax);
  }

  /** The same of so many rows, however they are divided among the slots. */
  int tilesMax(int rows) {
    return Math.min(rows, rows / TILE_ROWS + slots);
  }

  /** Finds where in the order each slot's rows begin. */
  private void count(AttentionBatch current) {
    Arrays.fill(begins, 0);
    for (int s = 0; s < current.slices(); s++) {
      if (current.adapter(s) != AttentionBatch.NO_ADAPTER) {
        int slot = Objects.checkIndex(current.adapter(s), slots);
        begins[slot + 1] += current.sliceEnd(s) - current.sliceStart(s);
      }
    }
    for (int slot = 0; slot < slots; slot++) {
      begins[slot + 1] += begins[slot];
    }
  }

  private void put(MemorySegment ints, AttentionBatch current) {
    tiles = 0;
    for (int slot = 0; slot < slots; slot++) {
      for (int at = begins[slot]; at < begins[slot + 1]; at += TILE_ROWS) {
        int record = tilesAt() + TILE_INTS * tiles++;
        set(ints, record, slot);
        set(ints, record + 1, at);
        set(ints, record + 2, Math.min(TILE_ROWS, begins[slot + 1] - at));
      }
    }
    set(ints, 0, tiles);
    for (int s = 0; s < current.slices(); s++) {
      int slot = current.adapter(s);
      for (int row = current.sliceStart(s); row < current.sliceEnd(s); row++) {
        int place = slot == AttentionBatch.NO_ADAPTER ? -1 : begins[slot]++;
        set(ints, COUNTS + rowsMax + row, place);
        if (place >= 0) {
          set(ints, COUNTS + place, row);
        }
      }
    }
  }

  private static void set(MemorySegment ints, int index, int value) {
    ints.setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  int tiles() {
    return tiles;
  }

  private int tilesAt() {
    return COUNTS + 2 * rowsMax;
  }

  private long at(int index) {
    return device.address() + (long) index * Integer.BYTES;
  }

  long countsAddress() {
    return at(0);
  }

  long orderAddress() {
    return at(COUNTS);
  }

  long placesAddress() {
    return at(COUNTS + rowsMax);
  }

  long tilesAddress() {
    return at(tilesAt());
  }
}
