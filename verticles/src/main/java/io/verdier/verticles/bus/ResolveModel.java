package io.verdier.verticles.bus;

import io.verdier.engine.weights.CheckpointFiles;

/**
 * Asks the cache for the files of the operator's model on the local disk; answered with a {@link
 * Reply}, or a {@link Refused}. Immutable.
 */
public record ResolveModel() {
  /**
   * Where they are, or will be: the small ones are there. Its {@link CheckpointFiles#arrivals} are
   * thread-safe.
   */
  public record Reply(CheckpointFiles model) {}
}
