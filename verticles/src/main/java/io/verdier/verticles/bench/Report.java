package io.verdier.verticles.bench;

import io.vertx.core.json.JsonObject;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Shows a result: as a table for people, as JSON with vLLM's names for programs. Stateless. */
final class Report {
  private static final int WIDTH = 58;

  private Report() {}

  static void print(BenchResult result, BenchOptions options, PrintStream out) {
    heading(out, " Serving benchmark ", '=');
    row(out, "Successful requests", result.completed());
    row(out, "Failed requests", result.failed());
    if (options.maxConcurrency() < Integer.MAX_VALUE) {
      row(out, "Maximum request concurrency", options.maxConcurrency());
    }
    if (!Double.isInfinite(options.requestRate())) {
      row(out, "Request rate configured (req/s)", options.requestRate());
    }
    row(out, "Benchmark duration (s)", result.seconds());
    row(out, "Total input tokens", result.inputTokens());
    row(out, "Total generated tokens", result.outputTokens());
    row(out, "Request throughput (req/s)", result.requestsPerSecond());
    row(out, "Output token throughput (tok/s)", result.outputTokensPerSecond());
    row(out, "Peak output token throughput (tok/s)", result.outputTokensPeak());
    row(out, "Peak concurrent requests", result.concurrencyPeak());
    row(out, "Total token throughput (tok/s)", result.tokensPerSecond());
    for (Metric metric : options.metrics()) {
      heading(out, " " + metric.title() + " ", '-');
      latency(out, metric.name(), distribution(result, metric), options.percentiles());
    }
    if (options.expectedStepMs().isPresent()) {
      double expected = options.expectedStepMs().getAsDouble();
      heading(out, " Added to a step of " + plain(expected) + " ms ", '-');
      Distribution added = distribution(result, Metric.ITL).minus(expected);
      latency(out, "added latency", added, options.percentiles());
    }
    out.println("=".repeat(WIDTH));
    result.errors().forEach((text, count) -> out.println(count + " failed: " + text));
  }

  static JsonObject json(BenchResult result, BenchOptions options, String model) {
    JsonObject json =
        new JsonObject()
            .put("endpoint", options.endpoint())
            .put("model_id", model)
            .put("num_prompts", options.requests())
            .put("request_rate", rate(options))
            .put("burstiness", options.burstiness())
            .put("max_concurrency", limit(options))
            .put("input_len", options.inputTokens())
            .put("output_len", options.outputTokens())
            .put("duration", result.seconds())
            .put("completed", result.completed())
            .put("failed", result.failed())
            .put("total_input_tokens", result.inputTokens())
            .put("total_output_tokens", result.outputTokens())
            .put("request_throughput", result.requestsPerSecond())
            .put("output_throughput", result.outputTokensPerSecond())
            .put("total_token_throughput", result.tokensPerSecond())
            .put("max_output_tokens_per_s", result.outputTokensPeak())
            .put("max_concurrent_requests", result.concurrencyPeak());
    for (Metric metric : Metric.values()) {
      put(json, metric.name().toLowerCase(Locale.ROOT), distribution(result, metric), options);
    }
    if (options.expectedStepMs().isPresent()) {
      double expected = options.expectedStepMs().getAsDouble();
      json.put("expected_step_ms", expected);
      put(json, "added", distribution(result, Metric.ITL).minus(expected), options);
    }
    JsonObject errors = new JsonObject();
    result.errors().forEach(errors::put);
    return json.put("errors", errors);
  }

  private static Object rate(BenchOptions options) {
    return Double.isInfinite(options.requestRate()) ? "inf" : (Object) options.requestRate();
  }

  private static @Nullable Object limit(BenchOptions options) {
    return options.maxConcurrency() == Integer.MAX_VALUE ? null : options.maxConcurrency();
  }

  private static void put(
      JsonObject json, String name, Distribution distribution, BenchOptions options) {
    json.put("mean_" + name + "_ms", distribution.mean());
    json.put("median_" + name + "_ms", distribution.median());
    json.put("std_" + name + "_ms", distribution.standardDeviation());
    for (double percent : options.percentiles()) {
      json.put("p" + plain(percent) + "_" + name + "_ms", distribution.percentile(percent));
    }
  }

  private static Distribution distribution(BenchResult result, Metric metric) {
    return result.latencies().getOrDefault(metric, Distribution.of(new double[0]));
  }

  private static void latency(
      PrintStream out, String name, Distribution distribution, List<Double> percentiles) {
    row(out, "Mean " + name + " (ms)", distribution.mean());
    row(out, "Median " + name + " (ms)", distribution.median());
    for (double percent : percentiles) {
      row(out, "P" + plain(percent) + " " + name + " (ms)", distribution.percentile(percent));
    }
  }

  private static void heading(PrintStream out, String title, char line) {
    int left = (WIDTH - title.length()) / 2;
    String lines = String.valueOf(line);
    out.println(lines.repeat(left) + title + lines.repeat(WIDTH - left - title.length()));
  }

  private static void row(PrintStream out, String name, long value) {
    out.printf(Locale.ROOT, "%-42s%16d%n", name + ":", value);
  }

  private static void row(PrintStream out, String name, double value) {
    out.printf(Locale.ROOT, "%-42s%16.3f%n", name + ":", value);
  }

  /** 99 rather than 99.0. */
  private static String plain(double value) {
    return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
  }
}
