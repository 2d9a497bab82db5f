package io.verdier.verticles.bench;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** The latencies that are measured, as vLLM defines them. */
enum Metric {
  /** Time to first token: from sending the request to its first text. */
  TTFT("Time to first token"),
  /** Time per output token: the rest of the answer's time over its tokens less one. */
  TPOT("Time per output token, without the first"),
  /** Inter-token latency: each gap between two pieces of an answer. */
  ITL("Inter-token latency"),
  /** End-to-end latency: from sending the request to its last text. */
  E2EL("End-to-end latency");

  private final String title;

  Metric(String title) {
    this.title = title;
  }

  String title() {
    return title;
  }

  static Optional<Metric> named(String name) {
    return Arrays.stream(values())
        .filter(metric -> metric.name().equals(name.toUpperCase(Locale.ROOT)))
        .findFirst();
  }
}
