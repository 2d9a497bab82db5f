package io.verdier.engine.backend;

import java.util.List;

/**
 * Host memory for one adapter, laid out as its backend computes with it. Owned by whoever fills it,
 * and by the executor thread while it is loaded.
 */
public interface LoraImage extends AutoCloseable {

  /**
   * Lays an adapter out, in bfloat16, in place of what was there. Any thread may do this, one at a
   * time: no device is needed for it.
   *
   * @param factors at most one for each part of a product; parts without any are not adapted
   * @throws io.verdier.engine.weights.WeightsException if they do not fit; the image then adds
   *     nothing
   */
  void fill(List<LoraFactors> factors);

  /** That an adapter takes here; 0 before there is one. */
  long bytes();

  @Override
  void close();
}
