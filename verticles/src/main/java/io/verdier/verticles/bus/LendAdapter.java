package io.verdier.verticles.bus;

/**
 * An adapter lies in a room of host memory; the executor may take it from there. Immutable.
 *
 * @param room its number
 */
public record LendAdapter(String identity, int room) {}
