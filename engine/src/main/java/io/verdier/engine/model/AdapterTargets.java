package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.LoraTarget;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The products of a rank that adapters add to, and which rows they add to. Owned by the executor
 * thread.
 *
 * <p>All products but one are of the step's rows. The output matrix is multiplied with some of
 * them, in chunks of another size; such a chunk is a batch of its own here, in which a row has an
 * adapter only if that one knows the output matrix. So rows of all others cost what they cost
 * without.
 */
final class AdapterTargets {
  private static final int[] NO_BLOCKS = {};

  private final @Nullable LoraSlots slots; // null: no row ever has an adapter
  private final LoraTarget[] targets; // by AdaptedProducts.index
  private final AttentionBatch wanted;

  /**
   * @param wantedMax rows that the output matrix is multiplied with at once
   */
  AdapterTargets(@Nullable LoraSlots slots, int wantedMax) {
    this.slots = slots;
    targets = new LoraTarget[slots == null ? 0 : slots.shape().products().size()];
    Arrays.setAll(targets, i -> new LoraTarget(Objects.requireNonNull(slots), i));
    int rowsMax = slots == null ? 0 : wantedMax;
    wanted = new AttentionBatch(rowsMax, rowsMax);
  }

  /** Whether no row ever has an adapter. */
  boolean isEmpty() {
    return slots == null;
  }

  LoraTarget of(int product) {
    return targets[product];
  }

  LoraTarget ofEmbedding() {
    return targets[AdaptedProducts.embedding(targets.length)];
  }

  LoraTarget ofHead() {
    return targets[AdaptedProducts.head(targets.length)];
  }

  /**
   * Rows of a step whose logits are computed, in that order.
   *
   * @param step that was run last; null: none was
   * @param rows of the step; those from {@code from} on are taken
   * @return good until the next call; null: no adapter adds to any of them
   */
  @Nullable AttentionBatch wanted(@Nullable AttentionBatch step, int[] rows, int from, int count) {
    if (slots == null || step == null || !step.hasAdapters()) {
      return null;
    }
    int head = AdaptedProducts.head(targets.length);
    wanted.clear();
    for (int i = from; i < from + count; i++) {
      int slot = step.adapter(step.slice(rows[i]));
      boolean adds = slot != AttentionBatch.NO_ADAPTER && slots.adapts(slot, head);
      wanted.add(position -> 0, 0, 1, NO_BLOCKS, adds ? slot : AttentionBatch.NO_ADAPTER);
    }
    return wanted.hasAdapters() ? wanted : null;
  }
}
