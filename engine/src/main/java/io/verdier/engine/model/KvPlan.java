package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;

/**
 * How large the KV cache will be. Immutable.
 *
 * @param bytes of all blocks; memory that is taken only as blocks are used
 */
public record KvPlan(int blocks, int blockTokens, long bytes) {

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
    int blockTokens = cache.blockTokens();
    long blockBytes = tokenBytes * blockTokens;
    long perSequence = (lengthMax + blockTokens - 1L) / blockTokens;
    long useful = perSequence * config.scheduling().sequencesMax();
    long bytes = cache.kvBytes().orElse(bytesMax);
    long blocks =
        cache.blocksOverride().isPresent()
            ? cache.blocksOverride().getAsInt()
            : Math.min(useful, bytes / blockBytes);
    blocks = Math.min(blocks, Integer.MAX_VALUE);
    if (blocks < perSequence) {
      throw tooSmall(cache, lengthMax, blocks, perSequence, blockBytes);
    }
    return new KvPlan((int) blocks, blockTokens, blocks * blockBytes);
  }

  private static ModelException tooSmall(
      ServerConfig.Cache cache, int lengthMax, long blocks, long needed, long blockBytes) {
    String remedy =
        cache.blocksOverride().isPresent()
            ? "Raise --num-gpu-blocks-override to at least " + needed
            : "Give --kv-cache-memory-bytes at least " + needed * blockBytes;
    String shorter =
        blocks == 0 ? "" : ", or lower --max-model-len to " + blocks * cache.blockTokens();
    return new ModelException(
        "The model's max seq len ("
            + lengthMax
            + ") is larger than the maximum number of tokens that can be stored in KV cache ("
            + blocks * cache.blockTokens()
            + "). "
            + remedy
            + shorter
            + ".");
  }
}
