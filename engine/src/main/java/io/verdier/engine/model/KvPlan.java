package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;

/**
 * How large the KV cache will be. Immutable.
 *
 * @param bytes of all blocks; host memory is taken only as blocks are used
 */
public record KvPlan(int blocks, int blockTokens, long bytes) {

  /**
   * Blocks that a model can use.
   *
   * @param blockBytes of one block over all layers
   * @param perSequence that one sequence of the longest length takes
   * @param useful that all sequences of the longest length take: more are never needed
   */
  record Demand(int blockTokens, long blockBytes, long perSequence, long useful) {

    static Demand of(ServerConfig config, int lengthMax, long tokenBytes) {
      int blockTokens = config.cache().blockTokens();
      long perSequence = (lengthMax + blockTokens - 1L) / blockTokens;
      long useful = perSequence * config.scheduling().sequencesMax();
      return new Demand(blockTokens, tokenBytes * blockTokens, perSequence, useful);
    }

    KvPlan plan(long blocks) {
      int count = Math.clamp(blocks, 0, Integer.MAX_VALUE);
      return new KvPlan(count, blockTokens, count * blockBytes);
    }
  }

  /** Tokens that fit into all blocks. */
  public long tokens() {
    return (long) blocks * blockTokens;
  }

  /**
   * Decides from what the operator asked for: an exact number of blocks, else bytes, else what the
   * backend offers. Never more than all sequences of the longest length need.
   *
   * @param tokenBytes bytes that one token takes over all layers
   * @param bytesMax what the backend offers
   * @throws ModelException if a single sequence of {@code lengthMax} tokens does not fit
   */
  static KvPlan of(ServerConfig config, int lengthMax, long tokenBytes, long bytesMax) {
    ServerConfig.Cache cache = config.cache();
    Demand demand = Demand.of(config, lengthMax, tokenBytes);
    long bytes = cache.kvBytes().orElse(bytesMax);
    KvPlan plan =
        demand.plan(
            cache.blocksOverride().isPresent()
                ? cache.blocksOverride().getAsInt()
                : Math.min(demand.useful, bytes / demand.blockBytes));
    if (plan.blocks < demand.perSequence) {
      throw plan.tooSmall(lengthMax, remedy(cache, demand));
    }
    return plan;
  }

  /** What raises the number of blocks where the operator, or nobody, has named one. */
  static String remedy(ServerConfig.Cache cache, Demand demand) {
    return cache.blocksOverride().isPresent()
        ? "raise --num-gpu-blocks-override to at least " + demand.perSequence
        : "give --kv-cache-memory-bytes at least " + demand.perSequence * demand.blockBytes;
  }

  /** The sentence that operators of vLLM look up, and what to do. */
  ModelException tooSmall(int lengthMax, String remedy) {
    String shorter = blocks == 0 ? "" : "set --max-model-len to at most " + tokens() + ", or ";
    String sentence = shorter + remedy;
    return new ModelException(
        "The model's max seq len ("
            + lengthMax
            + ") is larger than the maximum number of tokens that can be stored in KV cache ("
            + tokens()
            + "). "
            + Character.toUpperCase(sentence.charAt(0))
            + sentence.substring(1)
            + ".");
  }
}
