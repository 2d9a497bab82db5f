package io.verdier.verticles.observe;

import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.schedule.StepOutput;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntSupplier;
import java.util.stream.IntStream;

/**
 * The server's metrics, under the names that vLLM's dashboards, autoscalers and Vertex AI know.
 * Thread-safe.
 *
 * <p>Times are seconds. Sources: spec of the metric names and buckets in docs/metrics.md.
 */
public final class ServingMetrics {
  private static final double[] FIRST_TOKEN = {
    .001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
    2560
  };
  private static final double[] PER_TOKEN = {
    .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80
  };
  private static final double[] WHOLE = {
    .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680
  };
  private static final double[] STEP_TOKENS = {
    1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384
  };

  private static final double[] COMPILE = {.001, .005, .01, .025, .05, .1, .25, .5, 1, 2, 4};

  private final Exposition page;
  private final Exposition.Counter promptTokens;
  private final Exposition.Counter generatedTokens;
  private final Exposition.Counters success;
  private final Exposition.Counters refused;
  private final Exposition.Counters ignoredFields;
  private final Exposition.Histogram stepTokens;
  private final Exposition.Histogram firstToken;
  private final Exposition.Histogram interToken;
  private final Exposition.Histogram perOutputToken;
  private final Exposition.Histogram whole;
  private final Exposition.Histogram queued;
  private final Exposition.Histogram prefill;
  private final Exposition.Histogram decode;
  private final Exposition.Histogram inference;
  private final Exposition.Histogram requestPrompt;
  private final Exposition.Histogram requestGenerated;
  private final Exposition.Histogram requestGeneratedMax;
  private final Exposition.Histogram requestMaxTokens;
  private final Exposition.Histogram requestChoices;
  private final Exposition.Histogram grammarCompile;
  private final Exposition.Counter grammarsKnown;

  /** The scheduler's last word; replaced whole, so readers see one consistent record. */
  private volatile StepOutput.Stats stats = new StepOutput.Stats(0, 0, 0, 1, 0, 0, 0, 0);

  /**
   * @param modelName value of the label {@code model_name}
   * @param maxModelLen bounds the token histograms
   */
  public ServingMetrics(String modelName, int maxModelLen) {
    Map<String, String> labels = new LinkedHashMap<>();
    labels.put("model_name", modelName);
    labels.put("engine", "0");
    page = new Exposition(labels);
    schedulerGauges();
    promptTokens = page.counter("vllm:prompt_tokens", "Prompt tokens processed.");
    generatedTokens = page.counter("vllm:generation_tokens", "Tokens generated.");
    success =
        page.counters(
            "vllm:request_success",
            "Sequences finished, by reason.",
            "finished_reason",
            "stop",
            "length",
            "abort",
            "error");
    refused = page.counters("verdier:requests_refused", "Requests refused, by error code.", "code");
    ignoredFields =
        page.counters(
            "verdier:request_fields_ignored", "Fields of requests without effect.", "field");
    stepTokens = page.histogram("vllm:iteration_tokens_total", "Tokens per step.", STEP_TOKENS);
    firstToken =
        page.histogram("vllm:time_to_first_token_seconds", "Time to first token.", FIRST_TOKEN);
    interToken =
        page.histogram("vllm:inter_token_latency_seconds", "Time between tokens.", PER_TOKEN);
    perOutputToken =
        page.histogram(
            "vllm:time_per_output_token_seconds", "Time between tokens (older name).", PER_TOKEN);
    whole = page.histogram("vllm:e2e_request_latency_seconds", "Time of a whole request.", WHOLE);
    queued = page.histogram("vllm:request_queue_time_seconds", "Time until it runs.", WHOLE);
    prefill =
        page.histogram(
            "vllm:request_prefill_time_seconds", "Time from there to its first token.", WHOLE);
    decode =
        page.histogram(
            "vllm:request_decode_time_seconds", "Time from its first token to its end.", WHOLE);
    inference = page.histogram("vllm:request_inference_time_seconds", "Prefill and decode.", WHOLE);
    double[] tokens = oneTwoFive(maxModelLen);
    requestPrompt =
        page.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", tokens);
    requestGenerated =
        page.histogram("vllm:request_generation_tokens", "Tokens generated.", tokens);
    requestGeneratedMax =
        page.histogram(
            "vllm:request_max_num_generation_tokens",
            "Tokens of the longest choice of a request.",
            tokens);
    requestMaxTokens =
        page.histogram("vllm:request_params_max_tokens", "max_tokens of a request.", tokens);
    requestChoices = page.histogram("vllm:request_params_n", "n of a request.", 1, 2, 5, 10, 20);
    grammarCompile =
        page.histogram("verdier:grammar_compile_seconds", "Time to compile a constraint.", COMPILE);
    grammarsKnown =
        page.counter("verdier:grammar_cache_hits", "Constraints that were compiled already.");
  }

  private void schedulerGauges() {
    page.gauge("vllm:num_requests_running", "Sequences running.", () -> stats.running());
    page.gauge("vllm:num_requests_waiting", "Sequences waiting.", () -> stats.waiting());
    page.gauge("vllm:kv_cache_usage_perc", "KV cache in use, 0 to 1.", this::cacheUsage);
    page.gauge(
        "vllm:gpu_cache_usage_perc", "KV cache in use, 0 to 1 (older name).", this::cacheUsage);
    page.counter("vllm:num_preemptions", "Preemptions.", () -> stats.preemptions());
    page.counter(
        "vllm:prefix_cache_queries",
        "Prompt tokens looked up in the prefix cache.",
        () -> stats.prefixQueriedTokens());
    page.counter(
        "vllm:prefix_cache_hits",
        "Prompt tokens found in the prefix cache.",
        () -> stats.prefixHitTokens());
  }

  private double cacheUsage() {
    StepOutput.Stats now = stats;
    return (double) now.blocksUsed() / now.blocksTotal();
  }

  /** 1, 2, 5, 10, 20, 50, … up to {@code max}. */
  static double[] oneTwoFive(int max) {
    return IntStream.iterate(1, value -> value <= max, ServingMetrics::next)
        .asDoubleStream()
        .toArray();
  }

  private static int next(int value) {
    return leadingDigit(value) == 2 ? value / 2 * 5 : value * 2;
  }

  private static int leadingDigit(int value) {
    int digit = value;
    while (digit >= 10) {
      digit /= 10;
    }
    return digit;
  }

  /** Facts of the cache, once known. */
  public void cacheConfig(Map<String, String> facts) {
    page.info("vllm:cache_config_info", "Configuration of the KV cache.", facts);
  }

  /** A number that its owner keeps and any thread may read. */
  public void watch(String name, String help, IntSupplier value) {
    page.gauge(name, help, value::getAsInt);
  }

  /** The scheduler planned a step. */
  public void onStep(StepOutput.Stats now) {
    stats = now;
    if (now.stepTokens() > 0) {
      stepTokens.observe(now.stepTokens());
    }
  }

  /** A request was admitted. */
  public void onRequest(int choices, int maxTokens) {
    requestChoices.observe(choices);
    requestMaxTokens.observe(maxTokens);
  }

  /** A request was refused, at any stage. */
  public void onRefused(String code) {
    refused.of(code.toLowerCase(Locale.ROOT)).add(1);
  }

  /** A request had a field without effect; those that the API does not know are {@code other}. */
  public void onIgnoredField(String field) {
    ignoredFields.of(field).add(1);
  }

  /** A sequence's first news: its prompt, of so many tokens, is being worked on. */
  public void onStarted(int prompt) {
    promptTokens.add(prompt);
  }

  /** A sequence's first {@code tokens} left the server. */
  public void onFirstTokens(int tokens, double seconds) {
    generatedTokens.add(tokens);
    firstToken.observe(seconds);
  }

  /**
   * {@code tokens} more tokens of a sequence left the server {@code seconds} after the ones before.
   */
  public void onTokens(int tokens, double seconds) {
    generatedTokens.add(tokens);
    interToken.observe(seconds / tokens, tokens);
    perOutputToken.observe(seconds / tokens, tokens);
  }

  /** A client left before its sequence had started: there is nothing to measure. */
  public void onAbortedBeforeStart() {
    success.of("abort").add(1);
  }

  /** A sequence that had started ended; its tokens are counted by then. */
  public void onFinished(FinishReason reason, int prompt, int generated, double seconds) {
    success.of(reason.name().toLowerCase(Locale.ROOT)).add(1);
    requestPrompt.observe(prompt);
    requestGenerated.observe(generated);
    whole.observe(seconds);
  }

  /** A sequence came to its end inside the engine; what was cut short is left out. */
  public void onSequenceTimes(double queueSeconds, double prefillSeconds, double decodeSeconds) {
    queued.observe(queueSeconds);
    prefill.observe(prefillSeconds);
    decode.observe(decodeSeconds);
    inference.observe(prefillSeconds + decodeSeconds);
  }

  /** A constraint was compiled, on whatever thread. */
  public void onGrammarCompiled(double seconds) {
    grammarCompile.observe(seconds);
  }

  /** A constraint was compiled already, or is being. */
  public void onGrammarKnown() {
    grammarsKnown.add(1);
  }

  /** All choices of a request ended; the longest has so many tokens. */
  public void onLongestChoice(int generated) {
    requestGeneratedMax.observe(generated);
  }

  /** The page in Prometheus text format. */
  public String text() {
    return page.text();
  }
}
