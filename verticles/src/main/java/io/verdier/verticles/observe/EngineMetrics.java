package io.verdier.verticles.observe;

import io.verdier.cache.kv.BlockObserver;
import io.verdier.engine.run.WorkMeter;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepPlan;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The metrics of one engine, and of the requests that it serves. Thread-safe.
 *
 * <p>A token costs two additions to adders, whatever the number of names that show them: where vLLM
 * has two names for the same number, both read one adder.
 */
public final class EngineMetrics {
  private static final String SOURCE_COMPUTED = "local_compute";
  private static final String SOURCE_CACHE = "local_cache_hit";
  private static final String SOURCE_ELSEWHERE = "external_kv_transfer";

  private final Exposition page;
  private final Latencies latencies;
  private final Sizes sizes;
  private final Exposition.Counter promptTokens;
  private final Exposition.Counter computedPromptTokens;
  private final Exposition.Counter cachedPromptTokens;
  private final Exposition.Counter generatedTokens;
  private final Exposition.Labelled<Exposition.Counter> success;
  private final TierMetrics tiers;

  /** The scheduler's last word; replaced whole, so readers see one consistent record. */
  private volatile StepOutput.Stats stats = new StepOutput.Stats(0, 0, 0, 0, 1, 0, 0, 0, 0);

  private volatile @Nullable WorkMeter work; // null: it is not estimated
  private volatile int sleepLevel;
  private volatile Halt halt = Halt.NONE;
  private volatile AdapterLoad adapters = AdapterLoad.NONE;
  private volatile double adaptersSeconds = nowSeconds();
  private volatile long steps;
  private volatile long lastStepNanos;

  /** Whether an operator lets the engine work. */
  public enum Halt {
    NONE,
    /** What runs may come to its end; nothing else begins. */
    BEGUN,
    /** No step is run. */
    WHOLE
  }

  /**
   * @param page its part of the page: every series has the engine's labels
   * @param maxModelLen bounds the token histograms
   */
  EngineMetrics(Exposition page, int maxModelLen) {
    this.page = page;
    schedulerGauges();
    prefixCounters();
    tiers = new TierMetrics(page, () -> stats);
    promptTokens = page.counter("vllm:prompt_tokens", "Prompt tokens processed.");
    Exposition.Labelled<Exposition.Counter> bySource =
        page.counters("vllm:prompt_tokens_by_source", "Where prompt tokens came from.", "source");
    computedPromptTokens = bySource.of(SOURCE_COMPUTED);
    cachedPromptTokens = bySource.of(SOURCE_CACHE);
    bySource.of(SOURCE_ELSEWHERE);
    page.counter(
        "vllm:prompt_tokens_cached", "Prompt tokens from caches.", cachedPromptTokens::value);
    generatedTokens = page.counter("vllm:generation_tokens", "Tokens generated.");
    success =
        page.counters("vllm:request_success", "Sequences finished, by reason.", "finished_reason");
    for (FinishReason reason : FinishReason.values()) {
      success.of(word(reason));
    }
    latencies = new Latencies(page);
    sizes = new Sizes(page, maxModelLen);
  }

  /** For series that carry this engine's labels. */
  Exposition page() {
    return page;
  }

  private static String word(FinishReason reason) {
    return reason.name().toLowerCase(Locale.ROOT);
  }

  private static double nowSeconds() {
    return System.currentTimeMillis() / 1e3;
  }

  private void schedulerGauges() {
    page.gauge("vllm:num_requests_running", "Sequences running.", () -> stats.running());
    page.gauge("vllm:num_requests_waiting", "Sequences waiting.", () -> stats.waiting());
    Map<String, DoubleSupplier> reasons = new LinkedHashMap<>();
    reasons.put("capacity", this::waitingForCapacity);
    reasons.put("deferred", () -> stats.deferred());
    page.gauges("vllm:num_requests_waiting_by_reason", "Why they wait.", "reason", reasons);
    Map<String, DoubleSupplier> depths = new LinkedHashMap<>();
    depths.put("awake", () -> sleepLevel == 0 ? 1 : 0);
    depths.put("weights_offloaded", () -> sleepLevel == 1 ? 1 : 0);
    depths.put("discard_all", () -> sleepLevel > 1 ? 1 : 0);
    page.gauges("vllm:engine_sleep_state", "How deeply it sleeps.", "sleep_state", depths);
    page.gauge("vllm:kv_cache_usage_perc", "KV cache in use, 0 to 1.", this::cacheUsage);
    page.gauge(
        "vllm:gpu_cache_usage_perc", "KV cache in use, 0 to 1 (older name).", this::cacheUsage);
    page.counter("vllm:num_preemptions", "Preemptions.", () -> stats.preemptions());
  }

  /** Each under its own and its older name. */
  private void prefixCounters() {
    for (String prefix : new String[] {"vllm:prefix_cache", "vllm:gpu_prefix_cache"}) {
      page.counter(
          prefix + "_queries",
          "Prompt tokens looked up in the prefix cache.",
          () -> stats.prefixQueriedTokens());
      page.counter(
          prefix + "_hits",
          "Prompt tokens found in the prefix cache.",
          () -> stats.prefixHitTokens());
    }
  }

  private double waitingForCapacity() {
    StepOutput.Stats now = stats;
    return now.waiting() - now.deferred();
  }

  /** Sequences that have no place in a step yet. */
  public int waiting() {
    return stats.waiting();
  }

  /** Part of the KV cache that is in use, 0 to 1; not finite where there is none. */
  public double cacheUsage() {
    StepOutput.Stats now = stats;
    return (double) now.blocksUsed() / now.blocksTotal();
  }

  /** Facts of the cache, once known. */
  public void cacheConfig(Map<String, String> facts) {
    page.info("vllm:cache_config_info", "Configuration of the KV cache.", facts);
  }

  /** The size of a block, in every tier of the prefix cache. */
  public void tierBlocks(long bytes) {
    tiers.blockBytes(bytes);
  }

  /**
   * Measures how long blocks live.
   *
   * @param blocks all there are
   * @param share of them to measure, 0 to 1
   * @return hears of them, on the scheduler's thread
   */
  public BlockObserver blockTimes(int blocks, double share) {
    return new BlockTimes(page, blocks, share, System::nanoTime);
  }

  /** Shows what steps compute and move, from now on. Called before the first step. */
  public void estimate(WorkMeter meter) {
    work = meter;
    page.decimalCounter(
        "vllm:estimated_flops_per_gpu",
        "Floating-point operations of a device, estimated.",
        meter::operations);
    page.decimalCounter(
        "vllm:estimated_read_bytes_per_gpu",
        "Bytes that a device has read, estimated.",
        meter::readBytes);
    page.decimalCounter(
        "vllm:estimated_write_bytes_per_gpu",
        "Bytes that a device has written, estimated.",
        meter::writtenBytes);
  }

  /**
   * Sequences have waited for blocks from the tiers.
   *
   * @param since who has, for so many seconds
   */
  public void onTierWaits(StepOutput.Stats since, double seconds) {
    tiers.onWaits(since, seconds);
  }

  /** What the scheduler said last. */
  public StepOutput.Stats latest() {
    return stats;
  }

  /** Steps with work since the start. */
  public long steps() {
    return steps;
  }

  /** When the scheduler last planned a step, or could again, by {@link System#nanoTime}. */
  public long lastStepNanos() {
    return lastStepNanos;
  }

  /** A step will be run. */
  public void onPlan(StepPlan plan) {
    WorkMeter meter = work;
    if (meter != null) {
      meter.add(plan);
    }
  }

  /** The scheduler planned a step. */
  @SuppressWarnings("NonAtomicVolatileUpdate") // one thread writes them
  public void onStep(StepOutput.Stats now) {
    stats = now;
    lastStepNanos = System.nanoTime();
    steps += now.stepTokens() > 0 ? 1 : 0;
    if (now.stepTokens() > 0) {
      sizes.step.observe(now.stepTokens());
    }
  }

  /**
   * The engine was put to sleep or woken up.
   *
   * @param level that was asked for, 0: awake
   */
  public void onSleep(int level) {
    sleepLevel = level;
  }

  /** An operator halts the engine, or lets it work again. */
  public void onHalt(Halt now) {
    lastStepNanos = System.nanoTime(); // before: while it was halted there was none to end
    halt = now;
  }

  /** Whether an operator lets it work. */
  public Halt halt() {
    return halt;
  }

  /** Other adapters have work now. */
  public void onAdapters(AdapterLoad now) {
    adapters = now;
    adaptersSeconds = nowSeconds();
  }

  /** Those that have work. */
  AdapterLoad adapters() {
    return adapters;
  }

  /** When that changed, Unix time. */
  double adaptersSeconds() {
    return adaptersSeconds;
  }

  /** A request was admitted. */
  public void onRequest(int choices, int maxTokens) {
    sizes.choices.observe(choices);
    sizes.maxTokens.observe(maxTokens);
  }

  /**
   * A sequence's first news: its prompt is being worked on.
   *
   * @param prompt its tokens
   * @param cached of those, found in the prefix cache
   */
  public void onStarted(int prompt, int cached) {
    promptTokens.add(prompt);
    computedPromptTokens.add(prompt - cached);
    cachedPromptTokens.add(cached);
  }

  /** A sequence's first {@code tokens} left the server. */
  public void onFirstTokens(int tokens, double seconds) {
    generatedTokens.add(tokens);
    latencies.firstToken.observe(seconds);
  }

  /**
   * {@code tokens} more tokens of a sequence left the server {@code seconds} after the ones before.
   */
  public void onTokens(int tokens, double seconds) {
    generatedTokens.add(tokens);
    latencies.interToken.observe(seconds / tokens, tokens);
  }

  /** A client left before its sequence had started: there is nothing to measure. */
  public void onAbortedBeforeStart() {
    success.of("abort").add(1);
  }

  /**
   * A sequence that had started ended; its tokens are counted by then.
   *
   * @param spoken from its first token to its last, in seconds
   */
  public void onFinished(
      FinishReason reason, int prompt, int generated, double seconds, double spoken) {
    success.of(word(reason)).add(1);
    sizes.prompt.observe(prompt);
    sizes.generated.observe(generated);
    latencies.whole.observe(seconds);
    if (generated > 1) {
      latencies.perOutputToken.observe(spoken / (generated - 1));
    }
  }

  /** A sequence came to its end inside the engine; what was cut short is left out. */
  public void onSequence(SequenceReport done) {
    latencies.queued.observe(done.queueSeconds());
    latencies.prefill.observe(done.prefillSeconds());
    latencies.decode.observe(done.decodeSeconds());
    latencies.inference.observe(done.prefillSeconds() + done.decodeSeconds());
    sizes.computedPrompt.observe(done.promptTokens() - done.cachedTokens());
  }

  /** All choices of a request ended; the longest has so many tokens. */
  public void onLongestChoice(int generated) {
    sizes.generatedMax.observe(generated);
  }
}
