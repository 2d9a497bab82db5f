package io.verdier.verticles.bus;

/**
 * The executor must not take an adapter from its room any more; answered with a {@link Reply} when
 * it does not. Immutable.
 */
public record RecallAdapter(String identity) {

  /** The room is not read any more. */
  public record Reply() {}
}
