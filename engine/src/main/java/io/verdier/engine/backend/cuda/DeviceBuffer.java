package io.verdier.engine.backend.cuda;

/**
 * Device memory that grows. Owned by the executor thread. When there is none to be had it is empty
 * afterwards, never something that was freed.
 */
final class DeviceBuffer {
  private final CudaDriver driver;
  private final long bytesMax;
  private long address;
  private long bytes;

  DeviceBuffer(CudaDriver driver) {
    this(driver, Long.MAX_VALUE);
  }

  /**
   * @param bytesMax most that will ever be needed: it does not grow beyond
   */
  DeviceBuffer(CudaDriver driver, long bytesMax) {
    this.driver = driver;
    this.bytesMax = bytesMax;
  }

  /**
   * Has at least so many bytes, of which none is kept when it has to move. It grows by half at
   * least, so that what grows a little in every step seldom moves.
   *
   * @param onMove called before it moves
   */
  void reserve(long needed, Runnable onMove) {
    if (needed <= bytes) {
      return;
    }
    long larger = Math.max(needed, Math.min(bytes + bytes / 2, bytesMax));
    onMove.run();
    free();
    address = driver.allocate(larger);
    bytes = larger;
  }

  /** Is empty. */
  void free() {
    if (address != 0) {
      long old = address;
      address = 0;
      bytes = 0;
      driver.synchronize(); // a step under way may use it
      driver.free(old);
    }
  }

  /** The same where nobody has kept the address. */
  void reserve(long needed) {
    reserve(needed, () -> {});
  }

  long bytes() {
    return bytes;
  }

  /** 0 while it is empty. */
  long address() {
    return address;
  }
}
