package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Cosines and sines in device memory, {@code [positions][headDim / 2]} pairs of float32 from angles
 * in float64. Owned by the executor thread.
 *
 * <p>The device fills the table, and does so again for twice as many positions when a batch goes
 * further: contexts of a hundred thousand tokens are possible and rare.
 */
final class CudaRopeTable implements Backend.RopeTable {
  private static final int POSITIONS_FIRST = 8192;
  private static final int THREADS = 256;
  private static final int BLOCKS = 512;

  private final CudaDriver driver;
  private final Launch launch;
  private final Runnable onMove;
  private final CudaDriver.Kernel kernel;
  private final int half;
  private final long frequencies; // f64 [half], then the amplitude
  private final DeviceBuffer table;
  private int positions;

  /**
   * @param inverseFrequencies {@code [headDim / 2]} radians per position
   * @param onMove called when the table is about to have another address
   */
  CudaRopeTable(
      CudaDriver driver,
      Launch launch,
      double[] inverseFrequencies,
      double amplitude,
      Runnable onMove) {
    this.driver = driver;
    this.launch = launch;
    this.onMove = onMove;
    half = inverseFrequencies.length;
    kernel = driver.kernel("rope_table", 0);
    table = new DeviceBuffer(driver);
    long bytes = (half + 1L) * Double.BYTES;
    frequencies = driver.allocate(bytes);
    MemorySegment host = driver.hostBuffer(bytes);
    MemorySegment.copy(inverseFrequencies, 0, host, ValueLayout.JAVA_DOUBLE, 0, half);
    host.setAtIndex(ValueLayout.JAVA_DOUBLE, half, amplitude);
    driver.copyIn(frequencies, host, bytes);
    driver.synchronize();
    driver.freeHost(host);
    fill(POSITIONS_FIRST);
  }

  @Override
  public int headDim() {
    return 2 * half;
  }

  long address() {
    return table.address();
  }

  /** Has all positions of a batch in the table. */
  void require(AttentionBatch batch) {
    int last = 0;
    for (int s = 0; s < batch.slices(); s++) {
      last = Math.max(last, batch.position(batch.sliceEnd(s) - 1));
    }
    if (last >= positions) {
      fill(Math.max(2 * positions, last + 1));
    }
  }

  private void fill(int count) {
    positions = 0;
    table.reserve((long) count * half * 2 * Float.BYTES, onMove);
    launch
        .grid(BLOCKS, THREADS)
        .pointer(table.address())
        .pointer(frequencies)
        .integer(half)
        .integer(0)
        .integer(count);
    driver.launch(kernel, launch);
    positions = count;
  }
}
