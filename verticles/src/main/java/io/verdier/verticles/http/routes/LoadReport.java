package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.observe.EngineMetrics;
import java.math.BigDecimal;
import java.util.List;
import java.util.Locale;

/**
 * How loaded the server is, in a header of an answer whose request asks for it: balancers then need
 * not scrape metrics. Stateless.
 *
 * <p>Source: Open Request Cost Aggregation (ORCA), header formats TEXT and JSON, with the two
 * metrics and the names that vLLM has.
 */
final class LoadReport {
  private static final String ASKED = "endpoint-load-metrics-format";
  private static final String TOLD = "endpoint-load-metrics";

  private LoadReport() {}

  /** Adds the header where it is asked for, in a format that is known; others ask for nothing. */
  static void add(Exchange exchange) {
    String format = exchange.request().getHeader(ASKED);
    if (format == null) {
      return;
    }
    List<EngineMetrics> engines = exchange.ingress().metrics().engines();
    if (engines.isEmpty()) { // a node of a cluster that only passes requests on
      return;
    }
    double usage =
        engines.stream()
            .mapToDouble(EngineMetrics::cacheUsage)
            .filter(Double::isFinite)
            .average()
            .orElse(0);
    double waiting = engines.stream().mapToInt(EngineMetrics::waiting).sum();
    switch (format.strip().toUpperCase(Locale.ROOT)) {
      case "TEXT" ->
          tell(
              exchange,
              "TEXT named_metrics.kv_cache_usage_perc=%s, named_metrics.num_requests_waiting=%s",
              usage,
              waiting);
      case "JSON" ->
          tell(
              exchange,
              "JSON {\"named_metrics\": {\"kv_cache_usage_perc\": %s, \"num_requests_waiting\": %s}}",
              usage,
              waiting);
      default -> {}
    }
  }

  private static void tell(Exchange exchange, String text, double usage, double waiting) {
    exchange.request().response().putHeader(TOLD, text.formatted(plain(usage), plain(waiting)));
  }

  /** Never with an exponent, which not every parser of the format TEXT reads. */
  private static String plain(double value) {
    return BigDecimal.valueOf(value).toPlainString();
  }
}
