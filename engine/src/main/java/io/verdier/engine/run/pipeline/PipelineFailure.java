package io.verdier.engine.run.pipeline;

import io.verdier.engine.backend.DeviceException;

/**
 * A stage of the model is gone, or does not answer: nobody has its layers, so the engine is lost.
 */
public final class PipelineFailure extends DeviceException {
  private static final long serialVersionUID = 1;

  /**
   * @param reason for the operator
   */
  public PipelineFailure(String reason) {
    super(reason, Aftermath.LOST);
  }
}
