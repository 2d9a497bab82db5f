package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraTarget;
import java.util.Arrays;

/**
 * The selected rows of a batch whose adapters add to one product, grouped by adapter. Owned by the
 * executor thread, and used again for every product.
 *
 * <p>Rows of one adapter have places side by side, so that what reads a factor reads it for many of
 * them (Chen et al., "Punica", 2023, has the idea). A piece is what a part of an adapter adds to a
 * few such places; which rows are grouped with a row decides nothing about its sums.
 *
 * <pre>
 *   row      0  1  2  3  4  5  6        places 0..2 are adapter 1's rows 0, 3, 4
 *   slot     1  -  2  1  1  2  -        places 3..4 are adapter 2's rows 2, 5
 *   place    0  -  3  1  2  4  -        rows 1 and 6 have none, and cost nothing
 * </pre>
 */
final class LoraRows {
  private final int pieceRows;
  private int[] rows = new int[0]; // of the selection, by place
  private int[] places = new int[0]; // of each selected row, -1 for none
  private int[] ends = new int[0]; // of each slot's places
  private CpuLoraImage.Part[] factors = {}; // of pieces, like all below
  private int[] firstPlaces = new int[0];
  private int[] placeCounts = new int[0];
  private int[] firstColumns = new int[0]; // among all parts' outputs
  private int count;
  private int pieces;

  /**
   * @param pieceRows most rows of a piece: enough to make little of reading a factor, few enough to
   *     leave work for all threads
   */
  LoraRows(int pieceRows) {
    this.pieceRows = pieceRows;
  }

  void find(LoraTarget target, AttentionBatch batch) {
    CpuLoraSlots slots = (CpuLoraSlots) target.slots();
    reserve(batch.count(), slots.shape().slots());
    group(slots, target.index(), batch);
    pieces = 0;
    int from = 0;
    for (int slot = 0; slot < slots.shape().slots(); slot++) {
      for (; from < ends[slot]; from = Math.min(from + pieceRows, ends[slot])) {
        addPieces(slots, slot, target, from, Math.min(pieceRows, ends[slot] - from));
      }
    }
  }

  /** Deals places to rows, slot after slot and in a slot in their order. */
  private void group(CpuLoraSlots slots, int product, AttentionBatch batch) {
    int slotCount = slots.shape().slots();
    Arrays.fill(ends, 0, slotCount, 0);
    for (int i = 0; i < batch.count(); i++) {
      int slot = batch.adapter(batch.slice(batch.first() + i));
      boolean adapted = slot != AttentionBatch.NO_ADAPTER && slots.adapts(slot, product);
      places[i] = adapted ? slot : -1;
      if (adapted) {
        ends[slot]++;
      }
    }
    count = 0;
    for (int slot = 0; slot < slotCount; slot++) {
      count += ends[slot];
      ends[slot] = count - ends[slot]; // where they begin, until they are dealt
    }
    for (int i = 0; i < batch.count(); i++) {
      if (places[i] >= 0) {
        places[i] = ends[places[i]]++;
        rows[places[i]] = i;
      }
    }
  }

  private void addPieces(CpuLoraSlots slots, int slot, LoraTarget target, int from, int rowCount) {
    Product product = target.product();
    int column = 0;
    for (int part = 0; part < product.partRows().size(); part++) {
      CpuLoraImage.Part found = slots.part(slot, target.index(), part);
      if (found != null) {
        addPiece(found, from, rowCount, column);
      }
      column += product.partRows().get(part);
    }
  }

  private void addPiece(CpuLoraImage.Part part, int from, int rowCount, int column) {
    if (pieces == factors.length) {
      int room = Math.max(16, 2 * pieces);
      factors = Arrays.copyOf(factors, room);
      firstPlaces = Arrays.copyOf(firstPlaces, room);
      placeCounts = Arrays.copyOf(placeCounts, room);
      firstColumns = Arrays.copyOf(firstColumns, room);
    }
    factors[pieces] = part;
    firstPlaces[pieces] = from;
    placeCounts[pieces] = rowCount;
    firstColumns[pieces++] = column;
  }

  private void reserve(int selected, int slots) {
    if (places.length < selected) {
      rows = new int[selected];
      places = new int[selected];
    }
    if (ends.length < slots) {
      ends = new int[slots];
    }
  }

  /** Rows with an adapter, and places. */
  int count() {
    return count;
  }

  /** Index in the selection of the row in a place. */
  int row(int place) {
    return rows[place];
  }

  /** The same of all places. */
  int[] rows() {
    return rows;
  }

  /** Place of each selected row, -1 for none. */
  int[] places() {
    return places;
  }

  int pieces() {
    return pieces;
  }

  CpuLoraImage.Part factors(int piece) {
    return factors[piece];
  }

  int firstPlace(int piece) {
    return firstPlaces[piece];
  }

  int placeCount(int piece) {
    return placeCounts[piece];
  }

  /** Where its outputs begin in a row. */
  int firstColumn(int piece) {
    return firstColumns[piece];
  }
}
