package io.verdier.verticles.bus;

/**
 * Asks the executor to give the cache's memory back until it is used again; answered with {@link
 * Done}. Nobody has blocks. Immutable.
 */
public record VacateCache() {

  /** It is given back. */
  public record Done() {}
}
