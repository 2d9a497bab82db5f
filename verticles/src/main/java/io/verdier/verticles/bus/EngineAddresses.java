package io.verdier.verticles.bus;

import java.util.List;
import java.util.stream.IntStream;

/**
 * Where HTTP finds those who generate with a model: the engines of its own node, or the cluster's
 * actor, which chooses one and counts as one. Immutable.
 *
 * @param firstEngine number of the first of the engines in the node
 * @param schedulers take {@link Cancel}, one for each engine; never empty
 * @param tokenizers take {@link Submit}, {@link Cancel} and queries, for any of the engines; never
 *     empty
 * @param adapters takes {@link AdapterRelease} and the names of adapters
 */
public record EngineAddresses(
    int firstEngine, List<String> schedulers, List<String> tokenizers, String adapters) {
  public EngineAddresses {
    schedulers = List.copyOf(schedulers);
    tokenizers = List.copyOf(tokenizers);
  }

  /** Of a node with one model. */
  public static EngineAddresses own(int engines, int tokenizers) {
    return own(0, 0, engines, tokenizers);
  }

  /**
   * Of one of the models of this node, each of which has as many tokenizers.
   *
   * @param model its number
   * @param firstEngine as the models before it leave it
   */
  public static EngineAddresses own(int model, int firstEngine, int engines, int tokenizers) {
    return new EngineAddresses(
        firstEngine,
        IntStream.range(firstEngine, firstEngine + engines).mapToObj(Addresses::scheduler).toList(),
        IntStream.range(model * tokenizers, (model + 1) * tokenizers)
            .mapToObj(Addresses::tokenizer)
            .toList(),
        Addresses.adapters(model));
  }

  /** Some engine of the cluster. */
  public static EngineAddresses ofCluster() {
    return new EngineAddresses(
        0, List.of(Addresses.CLUSTER), List.of(Addresses.CLUSTER), Addresses.adapters(0));
  }
}
