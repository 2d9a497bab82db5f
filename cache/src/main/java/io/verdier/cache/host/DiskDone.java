package io.verdier.cache.host;

/**
 * What came of a {@link DiskWork}. Immutable.
 *
 * @param good whether all went well: of a read, that the very contents asked for are in the slot
 */
public record DiskDone(long id, boolean good) {}
