package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraSlots;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.cuda.CudaLora.Addend;
import io.verdier.engine.backend.cuda.CudaLora.Tokens;
import io.verdier.engine.backend.cuda.Ranges.Kind;
import org.jspecify.annotations.Nullable;

/** A backend's room for adapters, if there is any. Owned by the executor thread. */
final class CudaAdapters {
  private final CudaDriver driver;
  private final Launch launch;
  private final StepGraphs graphs;
  private final Ranges ranges;
  private @Nullable CudaLora lora;

  /**
   * @param graphs that end when a buffer is about to have another address
   */
  CudaAdapters(CudaDriver driver, Launch launch, StepGraphs graphs, Ranges ranges) {
    this.driver = driver;
    this.launch = launch;
    this.graphs = graphs;
    this.ranges = ranges;
  }

  /** Takes the room: once. */
  CudaLoraSlots open(LoraShape shape) {
    if (lora != null) {
      throw new IllegalStateException("there is room for adapters already");
    }
    CudaLoraSlots slots = new CudaLoraSlots(driver, shape);
    lora = new CudaLora(driver, launch, slots, graphs::clear);
    return slots;
  }

  /** What adds the adapters in these slots. */
  private CudaLora in(LoraSlots slots) {
    if (lora == null || lora.slots() != slots) {
      throw new IllegalStateException("slots of another backend");
    }
    return lora;
  }

  /** Adds to a product. */
  void add(CudaTensor sum, CudaOperand in, LoraTarget target, AttentionBatch batch) {
    try (var _ = ranges.open(Kind.ADAPTERS)) {
      in(target.slots()).add(sum, in, target.index(), batch, graphs.captured().rows());
    }
  }

  /** Adds to a product whose inputs are the batch's tokens. */
  void add(CudaTensor sum, Tokens tokens, LoraTarget target, AttentionBatch batch) {
    try (var _ = ranges.open(Kind.ADAPTERS)) {
      in(target.slots()).add(sum, tokens, target.index(), batch, graphs.captured().rows());
    }
  }

  /** What is added to a gated product. */
  Addend addend(CudaMatrix gateUp, CudaOperand in, LoraTarget target, AttentionBatch batch) {
    try (var _ = ranges.open(Kind.ADAPTERS)) {
      int rowCount = graphs.captured().rows();
      return in(target.slots()).addend(gateUp, in, target.index(), batch, rowCount);
    }
  }

  /** Before each step: {@link CudaLora#prepare}. */
  void prepare(AttentionBatch batch) {
    if (lora != null) {
      lora.prepare(batch);
    }
  }
}
