package io.verdier.verticles.observe;

import io.verdier.cache.host.TierCounts;
import io.verdier.engine.schedule.StepOutput.Stats;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.function.DoubleSupplier;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.ToDoubleFunction;

/**
 * What the tiers of the prefix cache do, under the label {@code tier}: device, host, disk and
 * remote, which is what cache nodes do for this engine. Thread-safe.
 */
final class TierMetrics {
  private static final String LABEL = "tier";
  private static final String REMOTE = "remote";

  /** As vLLM calls a tier of files. */
  private static final String FILES = "fs";

  private final Exposition page;
  private final Supplier<Stats> stats;
  private final DoubleAdder hostSeconds = new DoubleAdder();
  private final DoubleAdder diskSeconds = new DoubleAdder();
  private final DoubleAdder remoteSeconds = new DoubleAdder();
  private volatile long blockBytes;

  /**
   * @param stats the scheduler's last word
   */
  TierMetrics(Exposition page, Supplier<Stats> stats) {
    this.page = page;
    this.stats = stats;
    tokens();
    blocks();
    offload();
  }

  private void tokens() {
    counters(
        "queries",
        "Prompt tokens looked for in a tier, because none before it had them.",
        Stats::prefixQueriedTokens,
        TierCounts::queriedTokens);
    counters("hits", "Those found.", Stats::prefixHitTokens, TierCounts::hitTokens);
    page.counter(
        "vllm:external_prefix_cache_queries",
        "Prompt tokens looked up behind the device.",
        () -> stats.get().host().queriedTokens());
    page.counter(
        "vllm:external_prefix_cache_hits",
        "Prompt tokens found behind the device.",
        () -> stats.get().host().hitTokens());
  }

  private void blocks() {
    counters(
        "bytes_in",
        "Bytes that came into a tier from its neighbours.",
        now -> blockBytes * now.host().blocksOut(),
        tier -> blockBytes * tier.blocksIn());
    counters(
        "bytes_out",
        "Bytes that went from a tier towards the device; of the device: to the host.",
        now -> blockBytes * now.host().blocksIn(),
        tier -> blockBytes * tier.blocksOut());
    Map<String, DoubleSupplier> evictions = new LinkedHashMap<>();
    evictions.put("device", () -> stats.get().prefixEvictions());
    evictions.putAll(here(TierCounts::evictions));
    page.counters(
        "verdier:prefix_tier_evictions", "Blocks that gave way to others.", LABEL, evictions);
    counters(
        "dropped",
        "Blocks that were to come into a tier, which had no room or time.",
        now -> 0,
        TierCounts::dropped);
    Map<String, DoubleSupplier> seconds = new LinkedHashMap<>();
    seconds.put("host", hostSeconds::sum);
    seconds.put("disk", diskSeconds::sum);
    seconds.put(REMOTE, remoteSeconds::sum);
    page.counters(
        "verdier:prefix_tier_load_seconds", "Time that sequences waited for it.", LABEL, seconds);
    page.gauges(
        "verdier:prefix_tier_usage", "Part in use, 0 to 1.", LABEL, here(TierMetrics::usage));
  }

  /** What vLLM's offloading connector counts, as far as it means the same here. */
  private void offload() {
    page.counter(
        "vllm:kv_offload_load_bytes",
        "Bytes from host memory to the device.",
        () -> blockBytes * stats.get().host().blocksOut());
    page.counter(
        "vllm:kv_offload_store_bytes",
        "Bytes from the device to host memory.",
        () -> blockBytes * stats.get().host().blocksIn());
    page.counter(
        "vllm:kv_offload_allocation_failure",
        "Blocks that found no room in host memory.",
        () -> stats.get().host().dropped());
    page.counters(
        "vllm:kv_offload_tiering_read_bytes",
        "Bytes from a tier behind host memory to it.",
        LABEL,
        Map.of(FILES, () -> (double) blockBytes * stats.get().disk().blocksOut()));
    page.counters(
        "vllm:kv_offload_tiering_write_bytes",
        "Bytes from host memory to a tier behind it.",
        LABEL,
        Map.of(FILES, () -> (double) blockBytes * stats.get().disk().blocksIn()));
  }

  private static double usage(TierCounts tier) {
    return tier.slots() == 0 ? 0 : (double) tier.slotsUsed() / tier.slots();
  }

  private void counters(
      String name,
      String help,
      ToDoubleFunction<Stats> device,
      ToDoubleFunction<TierCounts> behind) {
    Map<String, DoubleSupplier> all = new LinkedHashMap<>();
    all.put("device", () -> device.applyAsDouble(stats.get()));
    all.putAll(behind(behind));
    page.counters("verdier:prefix_tier_" + name, help, LABEL, all);
  }

  private Map<String, DoubleSupplier> behind(ToDoubleFunction<TierCounts> value) {
    Map<String, DoubleSupplier> both = new LinkedHashMap<>();
    Map<String, Function<Stats, TierCounts>> tiers = new LinkedHashMap<>();
    tiers.put("host", Stats::host);
    tiers.put("disk", Stats::disk);
    tiers.put(REMOTE, Stats::remote);
    tiers.forEach((name, of) -> both.put(name, () -> value.applyAsDouble(of.apply(stats.get()))));
    return both;
  }

  /** Of the tiers that are this engine's own. */
  private Map<String, DoubleSupplier> here(ToDoubleFunction<TierCounts> value) {
    Map<String, DoubleSupplier> own = behind(value);
    own.remove(REMOTE);
    return own;
  }

  /** The size of a block, once it is known. */
  void blockBytes(long bytes) {
    blockBytes = bytes;
  }

  void onWaits(Stats since, double seconds) {
    hostSeconds.add(since.host().sequences() * seconds);
    diskSeconds.add(since.disk().sequences() * seconds);
    remoteSeconds.add(since.remote().sequences() * seconds);
  }
}
