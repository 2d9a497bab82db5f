package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.KvShape;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the device's copy of a cache's batches up to date. Owned by the executor thread.
 *
 * <p>Operations name the batch they work on; whoever is first in a step has it copied, the others
 * find it there.
 */
final class CudaBatch {
  private final CudaDriver driver;
  private final KvShape shape;
  private final AttentionWork work;
  private final CudaClock clock;
  private final Runnable onMove;
  private @Nullable StepInputs inputs;
  private @Nullable AttentionBatch batch;
  private long version;

  /**
   * @param clock started when the device has its first work of a step
   * @param onMove called when the copy is about to have another address
   */
  CudaBatch(
      CudaDriver driver, KvShape shape, AttentionWork work, CudaClock clock, Runnable onMove) {
    this.driver = driver;
    this.shape = shape;
    this.work = work;
    this.clock = clock;
    this.onMove = onMove;
  }

  /** The batch on the device. */
  StepInputs on(AttentionBatch current) {
    StepInputs present = inputs;
    if (present != null && current == batch && current.version() == version) {
      return present;
    }
    if (present == null || !present.sizes().hold(current, shape.blockTokens())) {
      present = replaced(present, StepInputs.Sizes.of(current, shape.blockTokens(), work));
    }
    present.gather(current, shape, work);
    clock.start();
    present.upload();
    batch = current;
    version = current.version();
    return present;
  }

  /** What the batch's attention was divided into. */
  AttentionWork work() {
    return work;
  }

  private StepInputs replaced(@Nullable StepInputs old, StepInputs.Sizes sizes) {
    onMove.run();
    if (old != null) {
      inputs = null;
      driver.synchronize(); // a step under way may use it
      old.free();
    }
    StepInputs fresh = new StepInputs(driver, sizes);
    inputs = fresh;
    return fresh;
  }
}
