package io.verdier.engine.backend;

/**
 * Copies between a device and its host that were asked for with one call. Owned by the executor
 * thread.
 */
public interface HostCopy {

  /**
   * Whether all of them have been made. Asks without waiting.
   *
   * @throws DeviceException if the device has failed; what was to be copied is then unknown
   */
  boolean isDone();

  /** Waits until they have been made; errors are those of {@link #isDone}. */
  void await();

  /**
   * Has steps that begin from now on wait for the copies, on the device: this thread goes on. For
   * few blocks, which take less than another round of planning: 2 MiB are 40 µs of PCIe 5.0 x16.
   */
  void holdSteps();
}
