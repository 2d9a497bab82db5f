package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import org.jspecify.annotations.Nullable;

/** A backend's room for adapters, if there is any. Owned by the executor thread. */
final class CudaAdapters {
  private final CudaDriver driver;
  private final Launch launch;
  private final Runnable onMove;
  private @Nullable CudaLora lora;

  /**
   * @param onMove called when a buffer is about to have another address
   */
  CudaAdapters(CudaDriver driver, Launch launch, Runnable onMove) {
    this.driver = driver;
    this.launch = launch;
    this.onMove = onMove;
  }

  /** Takes the room: once. */
  CudaLoraSlots open(LoraShape shape) {
    if (lora != null) {
      throw new IllegalStateException("there is room for adapters already");
    }
    CudaLoraSlots slots = new CudaLoraSlots(driver, shape);
    lora = new CudaLora(driver, launch, slots, onMove);
    return slots;
  }

  /** What adds the adapters in these slots. */
  CudaLora in(LoraSlots slots) {
    if (lora == null || lora.slots() != slots) {
      throw new IllegalStateException("slots of another backend");
    }
    return lora;
  }

  /** Before each step: {@link CudaLora#prepare}. */
  void prepare(AttentionBatch batch) {
    if (lora != null) {
      lora.prepare(batch);
    }
  }
}
