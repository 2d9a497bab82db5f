package io.verdier.verticles.bus;

/**
 * Asks the executor to give memory back: the cache's until it is used again, that of weights until
 * {@link RecallWeights}; answered with {@link Done}. Nobody has blocks. Immutable.
 */
public record GiveUpMemory() {

  /** It is given back. */
  public record Done() {}
}
