package io.verdier.verticles.bus;

import java.util.List;
import java.util.stream.IntStream;

/**
 * Where HTTP finds those who generate: the engines of its own node, or the cluster's actor, which
 * chooses one and counts as one. Immutable.
 *
 * @param schedulers take {@link Cancel}, one for each engine; never empty
 * @param tokenizers take {@link Submit}, {@link Cancel} and queries, for any of the engines; never
 *     empty
 */
public record EngineAddresses(List<String> schedulers, List<String> tokenizers) {
  public EngineAddresses {
    schedulers = List.copyOf(schedulers);
    tokenizers = List.copyOf(tokenizers);
  }

  /** The engines of this node. */
  public static EngineAddresses own(int engines, int tokenizers) {
    return new EngineAddresses(
        IntStream.range(0, engines).mapToObj(Addresses::scheduler).toList(),
        IntStream.range(0, tokenizers).mapToObj(Addresses::tokenizer).toList());
  }

  /** Some engine of the cluster. */
  public static EngineAddresses ofCluster() {
    return new EngineAddresses(List.of(Addresses.CLUSTER), List.of(Addresses.CLUSTER));
  }
}
