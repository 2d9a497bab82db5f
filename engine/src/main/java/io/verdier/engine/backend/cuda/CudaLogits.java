package io.verdier.engine.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Room for logits on the device, and for what comes to the host, page-locked there; as large as it
 * was ever needed. Owned by the executor thread.
 */
final class CudaLogits {
  private static final int ROWS_ALIGNED = 16; // a batch grows row by row, its room seldom

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
        device = null;
        driver.synchronize();
        driver.free(present.origin());
      }
      int rounded = (rows + ROWS_ALIGNED - 1) / ROWS_ALIGNED * ROWS_ALIGNED;
      present = new CudaTensor(driver, rounded, columns);
      device = present;
    }
    present.select(0, rows);
    return present;
  }

  /** Waits for one row and copies it. */
  void read(float[] out, CudaTensor tensor, int row) {
    long rowBytes = (long) tensor.columns() * Float.BYTES;
    MemorySegment buffer = host(rowBytes);
    driver.copyOut(buffer, tensor.address() + (long) row * tensor.stride() * Float.BYTES, rowBytes);
    driver.synchronize();
    MemorySegment.copy(buffer, ValueLayout.JAVA_FLOAT, 0, out, 0, tensor.columns());
  }

  /** Waits for the selected rows and copies them, one behind the other. */
  void read(float[] out, CudaTensor tensor) {
    if (tensor.rows() == 0) {
      return;
    }
    long rowBytes = (long) tensor.stride() * Float.BYTES;
    MemorySegment buffer = host(rowBytes * tensor.rows());
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

  /** Copies rows into the selected ones, and waits: the buffer is taken again by the next copy. */
  void write(CudaTensor tensor, float[] in) {
    if (tensor.rows() == 0) {
      return;
    }
    long rowBytes = (long) tensor.stride() * Float.BYTES;
    MemorySegment buffer = host(rowBytes * tensor.rows());
    for (int row = 0; row < tensor.rows(); row++) {
      MemorySegment.copy(
          in,
          row * tensor.columns(),
          buffer,
          ValueLayout.JAVA_FLOAT,
          row * rowBytes,
          tensor.columns());
    }
    driver.copyIn(tensor.address(), buffer, rowBytes * tensor.rows());
    driver.synchronize();
  }

  private MemorySegment host(long bytes) {
    MemorySegment present = host;
    if (present == null || present.byteSize() < bytes) {
      if (present != null) {
        host = null;
        driver.freeHost(present);
      }
      present = driver.hostBuffer(bytes);
      host = present;
    }
    return present;
  }
}
