package io.verdier.verticles.bus;

/**
 * Sequences have ended that had an {@link AdapterQuery}, whatever came of it. Immutable.
 *
 * @param keys of the sequences
 */
public record AdapterRelease(long[] keys) {}
