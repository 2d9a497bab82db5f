package io.verdier.engine.backend;

import java.util.function.Supplier;

/**
 * Memory of a device that has its own. Immutable: as it was when it was asked for.
 *
 * @param device its name
 * @param bytes all that it has
 * @param freeBytes that nobody had taken
 * @param share of all bytes that the server may take; what others have taken does not count
 * @param weights in which format matrices will lie there
 * @param rehearsals stages for a rehearsal, a new one each time
 */
public record DeviceMemory(
    String device,
    long bytes,
    long freeBytes,
    double share,
    String weights,
    Supplier<Rehearsal> rehearsals) {

  /** Bytes that were taken: other programs', and the driver's for this one. */
  public long takenBytes() {
    return bytes - freeBytes;
  }

  /** Bytes that the server may take: its share, as far as it is there. */
  public long budget() {
    return Math.min((long) (bytes * share), freeBytes);
  }
}
