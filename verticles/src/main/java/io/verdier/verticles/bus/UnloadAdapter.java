package io.verdier.verticles.bus;

/**
 * Asks for a name not to be served any more; answered with a {@link Reply}, or a {@link Refused}
 * where nobody has it. Sequences that have the adapter keep it. Immutable.
 */
public record UnloadAdapter(String name) {

  /** It is gone. */
  public record Reply() {}
}
