package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceMemory;
import io.verdier.engine.backend.Rehearsal;

/** The CUDA backend on a driver that counts. Owned by the loading thread. */
record CudaRehearsal(CudaBackend backend, CountingDriver driver) implements Rehearsal {

  /**
   * @param device whose memory would be taken
   */
  static CudaRehearsal of(CudaDriver.Device device, CudaBackend.Options options) {
    CountingDriver driver = new CountingDriver(device);
    return new CudaRehearsal(new CudaBackend(driver, options), driver);
  }

  /**
   * A device's memory, with rehearsals on it.
   *
   * @param freeBytes that nobody has taken
   */
  static DeviceMemory memory(
      CudaDriver.Device device, long freeBytes, CudaBackend.Options options) {
    return new DeviceMemory(
        device.name(),
        device.memoryBytes(),
        freeBytes,
        options.memoryShare(),
        options.weights().label(),
        () -> of(device, options));
  }

  @Override
  public long bytes() {
    return driver.bytes();
  }

  @Override
  public long bytesMax() {
    return driver.bytesMax();
  }

  @Override
  public long graphBytes() {
    return driver.graphBytes();
  }

  @Override
  public void close() {
    backend.close();
  }
}
