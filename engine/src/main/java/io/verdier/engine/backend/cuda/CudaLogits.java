package io.verdier.engine.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Room for logits, on the device and page-locked on the host, as large as it was ever needed. Owned
 * by the executor thread.
 */
final class CudaLogits {
  private final CudaDriver driver;
  private @Nullable CudaTensor device;
  private @Nullable MemorySegment host;

  CudaLogits(CudaDriver driver) {
    this.driver = driver;
  }

  /** A tensor on the device with just these rows selected. */
  CudaTensor on(int rows, int columns) {
    CudaTensor present = device;
    if (present == null || present.columns() != columns || present.rowsMax() < rows) {
      if (present != null) {
        driver.synchronize();
        driver.free(present.origin());
      }
      present = new CudaTensor(driver, rows, columns);
      device = present;
    }
    present.select(0, rows);
    return present;
  }

  /** Waits for the selected rows and copies them, one behind the other. */
  void read(float[] out, CudaTensor tensor) {
    long rowBytes = (long) tensor.stride() * Float.BYTES;
    MemorySegment buffer = host;
    if (buffer == null || buffer.byteSize() < rowBytes * tensor.rows()) {
      if (buffer != null) {
        driver.freeHost(buffer);
      }
      buffer = driver.hostBuffer(rowBytes * tensor.rows());
      host = buffer;
    }
    driver.copyOut(buffer, tensor.address(), rowBytes * tensor.rows());
    driver.synchronize();
    for (int row = 0; row < tensor.rows(); row++) {
      MemorySegment.copy(
          buffer,
          ValueLayout.JAVA_FLOAT,
          row * rowBytes,
          out,
          row * tensor.columns(),
          tensor.columns());
    }
  }
}
