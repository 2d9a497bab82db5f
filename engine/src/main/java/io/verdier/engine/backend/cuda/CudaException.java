package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceException;
import java.util.Locale;

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

  /**
   * An allocation did not fit, although the plan was made with what was free.
   *
   * @param bytes asked for
   * @param freeBytes that there are
   */
  static CudaException outOfMemory(long bytes, long freeBytes, CudaDriver.Device device) {
    double less = Math.ceil(100.0 * Math.max(0, bytes - freeBytes) / device.memoryBytes()) / 100;
    return new CudaException(
        String.format(
            Locale.ROOT,
            "CUDA out of memory: %d MiB asked for, %d MiB free on %s. If other programs have taken"
                + " memory since the start, end them; else start with a --gpu-memory-utilization"
                + " that is lower by %.2f, or with a lower --max-num-seqs.",
            bytes >> 20,
            freeBytes >> 20,
            device.name(),
            Math.max(0.01, less)));
  }
}
