package io.verdier.engine.model;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.DeviceMemory;
import java.util.Locale;

/**
 * How a device's memory will be shared out, known before any of it is taken. Immutable.
 *
 * <pre>
 *   |-- taken by others --|-- weights --|-- activations --|- graphs -|---- KV cache ----|-- free --|
 *                         |---------- --gpu-memory-utilization of all bytes ------------|
 * </pre>
 *
 * @param lengthMax most tokens of a sequence
 */
public record MemoryPlan(
    DeviceMemory device, ModelNeeds needs, KvPlan cache, int lengthMax, ModelNeeds.Sizes sizes) {

  /** Of captured steps and for the driver: an estimate, where the rest is counted. */
  public long graphBytes() {
    return needs.graphs();
  }

  /** Everything that this server is going to take, in bytes. */
  public long bytes() {
    return needs.all() + cache.bytes();
  }

  /** For the operator, some lines. */
  public String text() {
    return String.format(
        Locale.ROOT,
        """
        Memory plan of %s:
          device         %s
          taken before   %s  other programs, and CUDA's own for this one
          this server    %s  --gpu-memory-utilization %s
            weights      %s  %s
            activations  %s  --max-num-batched-tokens %d, --max-num-seqs %d
            graphs       %s  of captured steps, and the driver's
            KV cache     %s  %d blocks of %d tokens
          left           %s
        GPU KV cache size: %,d tokens
        Maximum concurrency for %,d tokens per request: %.2fx\
        """,
        device.device(),
        gib(device.bytes()),
        gib(device.takenBytes()),
        gib(bytes()),
        share(device.share()),
        gib(needs.weights()),
        device.weights(),
        gib(needs.activations()),
        sizes.tokensMax(),
        sizes.sequencesMax(),
        gib(needs.graphs()),
        gib(cache.bytes()),
        cache.blocks(),
        cache.blockTokens(),
        gib(device.freeBytes() - bytes()),
        cache.tokens(),
        lengthMax,
        concurrency());
  }

  /** How many sequences of the longest length fit at the same time. */
  double concurrency() {
    long perSequence = (lengthMax + cache.blockTokens() - 1L) / cache.blockTokens();
    return (double) cache.blocks() / perSequence;
  }

  /**
   * What became of the plan, for the operator.
   *
   * @param now after loading
   */
  public String takenText(DeviceMemory now) {
    return String.format(
        Locale.ROOT,
        "Memory taken: %s of %s that were planned; %s are left on %s",
        gib(device.freeBytes() - now.freeBytes()).strip(),
        gib(bytes()).strip(),
        gib(now.freeBytes()).strip(),
        device.device());
  }

  static String gib(long bytes) {
    return String.format(Locale.ROOT, "%7.2f GiB", bytes / (double) (1L << 30));
  }

  static String share(double value) {
    return String.format(Locale.ROOT, "%.2f", value);
  }

  /** The block sizes and numbers that the configuration asks for. */
  static ModelNeeds.Sizes sizes(ServerConfig config) {
    ServerConfig.Scheduling scheduling = config.scheduling();
    return new ModelNeeds.Sizes(scheduling.batchedTokensMax(), scheduling.sequencesMax());
  }
}
