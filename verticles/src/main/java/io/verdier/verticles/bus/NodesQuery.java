package io.verdier.verticles.bus;

/** Asks what is known of the cluster's nodes; answered with a {@link Reply}. Immutable. */
public record NodesQuery() {

  /**
   * What this node knows.
   *
   * @param json an object
   */
  public record Reply(String json) {}
}
