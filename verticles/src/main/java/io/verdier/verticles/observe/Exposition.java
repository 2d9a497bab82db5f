package io.verdier.verticles.observe;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;

/**
 * Metrics and their text form (Prometheus exposition format 0.0.4). Thread-safe: writers touch
 * {@link LongAdder}s only.
 *
 * <p>Why not a client library: the public ones refuse names that vLLM uses and dashboards know
 * ({@code vllm:iteration_tokens_total} is a histogram, {@code vllm:cache_config_info} a gauge); see
 * docs/adr/0003.
 */
public final class Exposition {
  private final List<Family> families = new CopyOnWriteArrayList<>();
  private final String labels;

  /**
   * @param labels carried by every series, in order
   */
  public Exposition(Map<String, String> labels) {
    this.labels = render(labels);
  }

  /** A number that only grows; exposed with the suffix {@code _total}. */
  public Counter counter(String name, String help) {
    Counter counter = new Counter();
    add(name + "_total", help, "counter").series.add(new Sample("", labels, counter::value));
    return counter;
  }

  /** Counters told apart by the value of one more label. */
  public Counters counters(String name, String help, String label, String... values) {
    Family family = add(name + "_total", help, "counter");
    Counters counters = new Counters(family, labels, label);
    Arrays.stream(values).forEach(counters::of);
    return counters;
  }

  /** A counter that somebody else keeps. */
  public void counter(String name, String help, LongSupplier value) {
    add(name + "_total", help, "counter").series.add(new Sample("", labels, value::getAsLong));
  }

  /** A number that goes up and down, read when it is asked for. */
  public void gauge(String name, String help, DoubleSupplier value) {
    add(name, help, "gauge").series.add(new Sample("", labels, value));
  }

  /** A constant 1 whose labels carry facts. */
  public void info(String name, String help, Map<String, String> facts) {
    String all = join(labels, render(facts));
    add(name, help, "gauge").series.add(new Sample("", all, () -> 1));
  }

  /**
   * A distribution.
   *
   * @param bounds upper bounds of the buckets, ascending; +Inf is added
   */
  public Histogram histogram(String name, String help, double... bounds) {
    Histogram histogram = new Histogram(bounds);
    Family family = add(name, help, "histogram");
    for (int i = 0; i <= bounds.length; i++) {
      int bucket = i;
      String bound = i == bounds.length ? "+Inf" : number(bounds[i]);
      String all = join(labels, "le=\"" + bound + "\"");
      family.series.add(new Sample("_bucket", all, () -> histogram.upTo(bucket)));
    }
    family.series.add(new Sample("_sum", labels, histogram::sum));
    family.series.add(new Sample("_count", labels, () -> histogram.upTo(bounds.length)));
    return histogram;
  }

  private Family add(String name, String help, String type) {
    Family family = new Family(name, help, type, new CopyOnWriteArrayList<>());
    families.add(family);
    return family;
  }

  /** The page that {@code /metrics} serves. */
  public String text() {
    StringBuilder page = new StringBuilder(16 * 1024);
    for (Family family : families) {
      page.append("# HELP ").append(family.name).append(' ').append(family.help).append('\n');
      page.append("# TYPE ").append(family.name).append(' ').append(family.type).append('\n');
      for (Sample sample : family.series) {
        page.append(family.name).append(sample.suffix);
        if (!sample.labels.isEmpty()) {
          page.append('{').append(sample.labels).append('}');
        }
        page.append(' ').append(number(sample.value.getAsDouble())).append('\n');
      }
    }
    return page.toString();
  }

  private static String render(Map<String, String> labels) {
    List<String> parts = new ArrayList<>();
    labels.forEach((name, value) -> parts.add(name + "=\"" + escape(value) + "\""));
    return String.join(",", parts);
  }

  private static String escape(String value) {
    return value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
  }

  private static String join(String left, String right) {
    return left.isEmpty() || right.isEmpty() ? left + right : left + "," + right;
  }

  private static String number(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e15
        ? Long.toString((long) value) + ".0"
        : Double.toString(value);
  }

  private record Family(String name, String help, String type, List<Sample> series) {}

  private record Sample(String suffix, String labels, DoubleSupplier value) {}

  /** See {@link Exposition#counter(String, String)}. Thread-safe. */
  public static final class Counter {
    private final LongAdder sum = new LongAdder();

    public void add(long count) {
      sum.add(count);
    }

    public long value() {
      return sum.sum();
    }
  }

  /** See {@link Exposition#counters}. Thread-safe. */
  public static final class Counters {
    private final ConcurrentMap<String, Counter> byValue = new ConcurrentHashMap<>();
    private final Family family;
    private final String labels;
    private final String label;

    private Counters(Family family, String labels, String label) {
      this.family = family;
      this.labels = labels;
      this.label = label;
    }

    /**
     * The counter of one label value; values must come from a closed set, or series grow without
     * bound.
     */
    public Counter of(String value) {
      return byValue.computeIfAbsent(
          value,
          absent -> {
            Counter counter = new Counter();
            String all = join(labels, render(Map.of(label, absent)));
            family.series.add(new Sample("", all, counter::value));
            return counter;
          });
    }
  }

  /** See {@link Exposition#histogram}. Thread-safe. */
  public static final class Histogram {
    private final double[] bounds;
    private final LongAdder[] counts;
    private final DoubleAdder sum = new DoubleAdder();

    private Histogram(double[] bounds) {
      this.bounds = bounds.clone();
      this.counts = new LongAdder[bounds.length + 1];
      Arrays.setAll(counts, i -> new LongAdder());
    }

    public void observe(double value) {
      observe(value, 1);
    }

    /** The same value {@code times} times. */
    public void observe(double value, int times) {
      int bucket = 0;
      while (bucket < bounds.length && value > bounds[bucket]) {
        bucket++;
      }
      counts[bucket].add(times);
      sum.add(times * value);
    }

    private double sum() {
      return sum.sum();
    }

    private long upTo(int bucket) {
      long total = 0;
      for (int i = 0; i <= bucket; i++) {
        total += counts[i].sum();
      }
      return total;
    }
  }
}
