package io.verdier.verticles.bus;

/**
 * How it stands with the blocks that a cache node keeps, from it to the cluster's actor. Immutable.
 *
 * @param port on which engines find it; 0: it is not there
 * @param blocks that it keeps
 * @param bytesUsed by them
 * @param bytesMax that they may take
 */
public record CacheRoom(int port, int blocks, long bytesUsed, long bytesMax) {
  /** Of a node that keeps none. */
  public static final CacheRoom NONE = new CacheRoom(0, 0, 0, 0);
}
