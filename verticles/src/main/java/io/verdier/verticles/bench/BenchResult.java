package io.verdier.verticles.bench;

import io.verdier.verticles.bench.LoadRun.Load;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What was measured. Immutable.
 *
 * @param seconds from the first request sent to the last one ended
 * @param outputTokensPeak most in one second
 * @param latencies in milliseconds
 * @param errors texts of the failures with how often each came
 */
record BenchResult(
    int completed,
    int failed,
    double seconds,
    long inputTokens,
    long outputTokens,
    double outputTokensPeak,
    int concurrencyPeak,
    Map<Metric, Distribution> latencies,
    Map<String, Integer> errors) {

  private static final double NANOS_PER_MILLI = 1e6;

  /** Failed requests are counted and otherwise left out. */
  static BenchResult of(Load load) {
    Map<String, Integer> errors = new TreeMap<>();
    List<RequestTrace> good = new ArrayList<>();
    long inputTokens = 0;
    long outputTokens = 0;
    for (int i = 0; i < load.traces().size(); i++) {
      RequestTrace trace = load.traces().get(i);
      String error = trace.error();
      if (error != null) {
        errors.merge(error, 1, Integer::sum);
        continue;
      }
      good.add(trace);
      inputTokens += trace.promptTokens(load.prompts().get(i).inputTokens());
      outputTokens += trace.outputTokens();
    }
    return new BenchResult(
        good.size(),
        load.traces().size() - good.size(),
        (load.endNanos() - load.startNanos()) / 1e9,
        inputTokens,
        outputTokens,
        peak(good, load),
        load.underWayPeak(),
        latencies(good),
        errors);
  }

  double requestsPerSecond() {
    return completed / seconds;
  }

  double outputTokensPerSecond() {
    return outputTokens / seconds;
  }

  double tokensPerSecond() {
    return (inputTokens + outputTokens) / seconds;
  }

  private static double peak(List<RequestTrace> traces, Load load) {
    double[] bySecond =
        new double[(int) ((load.endNanos() - load.startNanos()) / 1_000_000_000) + 1];
    for (RequestTrace trace : traces) {
      double tokensPerPiece = (double) trace.outputTokens() / trace.pieces();
      for (int i = 0; i < trace.pieces(); i++) {
        long second = (trace.pieceNanos(i) - load.startNanos()) / 1_000_000_000;
        bySecond[(int) second] += tokensPerPiece;
      }
    }
    return Arrays.stream(bySecond).max().orElse(0);
  }

  private static Map<Metric, Distribution> latencies(List<RequestTrace> traces) {
    Map<Metric, Distribution> latencies = new EnumMap<>(Metric.class);
    latencies.put(
        Metric.TTFT, distribution(traces.stream().mapToDouble(BenchResult::firstNanos).toArray()));
    latencies.put(
        Metric.E2EL, distribution(traces.stream().mapToDouble(BenchResult::lastNanos).toArray()));
    latencies.put(
        Metric.TPOT,
        distribution(
            traces.stream()
                .filter(trace -> trace.outputTokens() > 1)
                .mapToDouble(
                    trace ->
                        (double) (lastNanos(trace) - firstNanos(trace))
                            / (trace.outputTokens() - 1))
                .toArray()));
    latencies.put(Metric.ITL, distribution(gaps(traces)));
    return latencies;
  }

  private static double[] gaps(List<RequestTrace> traces) {
    double[] gaps = new double[traces.stream().mapToInt(trace -> trace.pieces() - 1).sum()];
    int count = 0;
    for (RequestTrace trace : traces) {
      for (int i = 1; i < trace.pieces(); i++) {
        gaps[count++] = trace.pieceNanos(i) - trace.pieceNanos(i - 1);
      }
    }
    return gaps;
  }

  private static long firstNanos(RequestTrace trace) {
    return trace.pieceNanos(0) - trace.startNanos();
  }

  private static long lastNanos(RequestTrace trace) {
    return trace.pieceNanos(trace.pieces() - 1) - trace.startNanos();
  }

  private static Distribution distribution(double[] nanos) {
    return Distribution.of(Arrays.stream(nanos).map(value -> value / NANOS_PER_MILLI).toArray());
  }
}
