package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceException;

/** A GPU or its driver refused. */
public final class CudaException extends DeviceException {
  private static final long serialVersionUID = 1;

  public CudaException(String message) {
    super(message, Aftermath.USABLE);
  }

  public CudaException(String message, Aftermath aftermath) {
    super(message, aftermath);
  }

  public CudaException(String message, Throwable cause) {
    super(message, cause);
  }
}
