package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraTarget;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The selected rows of a batch whose adapters add to one product. Owned by the executor thread, and
 * used again for every product.
 */
final class LoraRows {
  private int[] rows = new int[0]; // of the selection
  private int[] places = new int[0]; // of each selected row among them, -1 for none
  private CpuLoraImage.@Nullable Part[] parts = {}; // [rows][parts]
  private int[] firstColumns = new int[0]; // of each part, among all parts' outputs
  private int partCount;
  private int count;

  void find(LoraTarget target, AttentionBatch batch) {
    CpuLoraSlots slots = (CpuLoraSlots) target.slots();
    Product adapted = target.product();
    partCount = adapted.partRows().size();
    firstColumns = new int[partCount];
    for (int part = 1; part < partCount; part++) {
      firstColumns[part] = firstColumns[part - 1] + adapted.partRows().get(part - 1);
    }
    reserve(batch.count());
    count = 0;
    for (int i = 0; i < batch.count(); i++) {
      boolean any = false;
      for (int part = 0; part < partCount; part++) {
        CpuLoraImage.Part found = slots.part(target.index(), part, batch, batch.first() + i);
        parts[count * partCount + part] = found;
        any |= found != null;
      }
      rows[count] = i;
      places[i] = any ? count++ : -1;
    }
  }

  private void reserve(int selected) {
    if (places.length < selected) {
      rows = Arrays.copyOf(rows, selected);
      places = Arrays.copyOf(places, selected);
    }
    if (parts.length < selected * partCount) {
      parts = new CpuLoraImage.Part[selected * partCount];
    }
  }

  int count() {
    return count;
  }

  /** Index in the selection of the place-th row. */
  int row(int place) {
    return rows[place];
  }

  /** Place of each selected row, -1 for none. */
  int[] places() {
    return places;
  }

  int partCount() {
    return partCount;
  }

  int firstColumn(int part) {
    return firstColumns[part];
  }

  CpuLoraImage.@Nullable Part part(int place, int part) {
    return parts[place * partCount + part];
  }
}
