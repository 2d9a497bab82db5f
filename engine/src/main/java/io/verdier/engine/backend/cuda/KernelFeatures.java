package io.verdier.engine.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What the loaded kernels were compiled with. Immutable.
 *
 * <p>The device does not tell: PTX of an older architecture runs on it too, and so does {@code
 * sm_90} beside {@code sm_90a}, and what either was compiled without traps.
 *
 * @param bulk bulk copies and dependent launches (sm_90 and later)
 * @param wgmma products of whole warpgroups (sm_90a)
 */
record KernelFeatures(boolean bulk, boolean wgmma) {
  private static final int BULK = 1;
  private static final int WGMMA = 2;

  /** Asks the kernels. */
  static KernelFeatures of(CudaDriver driver) {
    long answer = driver.allocate(Integer.BYTES);
    try (Arena arena = Arena.ofConfined()) {
      Launch launch = new Launch(arena).grid(1, 1).pointer(answer);
      driver.launch(driver.kernel("kernel_features", 0), launch);
      MemorySegment features = arena.allocate(ValueLayout.JAVA_INT);
      driver.copyOut(features, answer, Integer.BYTES);
      driver.synchronize();
      int bits = features.get(ValueLayout.JAVA_INT, 0);
      return new KernelFeatures((bits & BULK) != 0, (bits & WGMMA) != 0);
    } finally {
      driver.free(answer);
    }
  }
}
