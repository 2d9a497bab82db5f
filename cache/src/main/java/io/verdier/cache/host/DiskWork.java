package io.verdier.cache.host;

import io.verdier.cache.kv.BlockHash;

/**
 * One thing to do on the disk. Immutable. Those that concern one slot of the disk are done in the
 * order of their ids.
 *
 * @param hostSlot that is written or read into, pinned until the {@link DiskDone}; not for erasing
 * @param diskSlot that is read, written or erased
 */
public record DiskWork(long id, Kind kind, BlockHash name, int hostSlot, int diskSlot) {

  /** What is done. */
  public enum Kind {
    READ,
    WRITE,
    /** The contents may be wrong: no later start may find them. */
    ERASE
  }
}
