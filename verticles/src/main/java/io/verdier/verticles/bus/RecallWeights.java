package io.verdier.verticles.bus;

/**
 * Asks the executor to have the weights again that it gave up, before the next step; answered with
 * {@link Done}. Immutable.
 */
public record RecallWeights() {

  /** They are there. */
  public record Done() {}
}
