package io.verdier.verticles.bus;

import java.util.List;

/** The cache nodes in sight, published to the engines of this node. Immutable. */
public record CacheNodes(List<Address> nodes) {
  public CacheNodes {
    nodes = List.copyOf(nodes);
  }

  /** Where engines find one. Immutable. */
  public record Address(String host, int port) {}
}
