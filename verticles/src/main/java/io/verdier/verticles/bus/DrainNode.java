package io.verdier.verticles.bus;

/**
 * An operator wants a node to finish what it has and take no more; answered with {@link Done}, or
 * {@link Refused} where there is no such node. Immutable.
 *
 * @param node its id or name
 * @param wanted false: it is to take work again
 */
public record DrainNode(String node, boolean wanted) {

  /** The node is told. */
  public record Done() {}
}
