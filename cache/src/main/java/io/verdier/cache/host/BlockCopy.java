package io.verdier.cache.host;

/**
 * A block of the device and the slot of host memory that it is copied to or from. Immutable.
 *
 * @param block on the device
 * @param slot in host memory
 */
public record BlockCopy(int block, int slot) {}
