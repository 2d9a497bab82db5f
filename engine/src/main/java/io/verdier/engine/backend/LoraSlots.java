package io.verdier.engine.backend;

/**
 * Adapters that rows of a step can name, in slots of equal size on the device. Owned by the
 * executor thread. Which adapter is where is not known here.
 *
 * <p>An adapter's way: its factors are {@linkplain LoraImage#fill laid out} in an image on the
 * host, by any thread, while steps go on; the executor thread loads the image into a slot, on a
 * device a single copy beside the steps; rows name the slot once the copy is done.
 */
public interface LoraSlots {
  LoraShape shape();

  /** Bytes of a slot, and of an image: what an adapter takes that has every part at full rank. */
  long slotBytes();

  /**
   * Reserves host memory for an adapter, page-locked for a device.
   *
   * @throws DeviceException when a device's driver refuses to lock so much
   */
  LoraImage image();

  /** Whether the image that was loaded into a slot last adds to a product. */
  boolean adapts(int slot, int product);

  /**
   * Replaces what a slot holds. Steps that began before compute with what it held. Until the copy
   * is done no step may have rows of this slot, and the image must stay as it is; on the CPU, where
   * a slot refers to its image, until the slot is loaded with another.
   *
   * @param image from {@link #image}; one that was never filled adds nothing
   */
  HostCopy load(int slot, LoraImage image);
}
