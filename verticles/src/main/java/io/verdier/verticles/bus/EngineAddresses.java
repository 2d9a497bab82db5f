package io.verdier.verticles.bus;

import java.util.List;
import java.util.stream.IntStream;

/**
 * Where HTTP finds whoever generates: the engine of its own node, or the cluster's actor, which
 * chooses one. Immutable.
 *
 * @param scheduler takes {@link Cancel}
 * @param tokenizers take {@link Submit}, {@link Cancel} and queries; never empty
 */
public record EngineAddresses(String scheduler, List<String> tokenizers) {
  public EngineAddresses {
    tokenizers = List.copyOf(tokenizers);
  }

  /** The engine of this node. */
  public static EngineAddresses own(int tokenizers) {
    return new EngineAddresses(
        Addresses.SCHEDULER,
        IntStream.range(0, tokenizers).mapToObj(Addresses::tokenizer).toList());
  }

  /** Some engine of the cluster. */
  public static EngineAddresses ofCluster() {
    return new EngineAddresses(Addresses.CLUSTER, List.of(Addresses.CLUSTER));
  }
}
