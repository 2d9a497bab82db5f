package io.verdier.verticles.endtoend;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.hawkular.agent.prometheus.PrometheusDataFormat;
import org.hawkular.agent.prometheus.PrometheusScraper;
import org.hawkular.agent.prometheus.types.Counter;
import org.hawkular.agent.prometheus.types.Gauge;
import org.hawkular.agent.prometheus.types.Histogram;
import org.hawkular.agent.prometheus.types.Metric;
import org.hawkular.agent.prometheus.types.MetricFamily;

/** {@code /metrics} as a parser of Prometheus's text format reads it. Immutable. */
record Scrape(Map<String, MetricFamily> families) {

  static Scrape of(String baseUrl) {
    Map<String, MetricFamily> families = new LinkedHashMap<>();
    try {
      PrometheusScraper scraper =
          new PrometheusScraper(
              URI.create(baseUrl + "/metrics").toURL(), PrometheusDataFormat.TEXT);
      for (MetricFamily family : scraper.scrape()) {
        if (families.put(family.getName(), family) != null) {
          throw new AssertionError(family.getName() + " is there twice");
        }
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return new Scrape(families);
  }

  List<Metric> series(String name) {
    MetricFamily family = families.get(name);
    if (family == null) {
      throw new AssertionError("no metric " + name);
    }
    return family.getMetrics();
  }

  /** The one series with these labels, and maybe more. */
  Metric one(String name, String... labels) {
    List<Metric> found =
        series(name).stream()
            .filter(
                metric -> {
                  for (int i = 0; i < labels.length; i += 2) {
                    if (!labels[i + 1].equals(metric.getLabels().get(labels[i]))) {
                      return false;
                    }
                  }
                  return true;
                })
            .toList();
    if (found.size() != 1) {
      throw new AssertionError(name + " " + List.of(labels) + ": " + found.size() + " series");
    }
    return found.getFirst();
  }

  double value(String name, String... labels) {
    return switch (one(name, labels)) {
      case Counter counter -> counter.getValue();
      case Gauge gauge -> gauge.getValue();
      case Metric other -> throw new AssertionError(name + " is a " + other.getClass());
    };
  }

  Histogram histogram(String name, String... labels) {
    return (Histogram) one(name, labels);
  }
}
