package io.verdier.verticles.observe;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.DoubleSupplier;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * Metrics and their text form (Prometheus exposition format 0.0.4). Thread-safe: writers touch
 * {@link LongAdder}s only.
 *
 * <p>Why not a client library: the public ones refuse names that vLLM uses and dashboards know
 * ({@code vllm:iteration_tokens_total} is a histogram, {@code vllm:cache_config_info} a gauge); see
 * docs/adr/0003.
 */
public final class Exposition {
  /** A page of a server that has served every route is about so long. */
  static final int PAGE_CHARS = 64 * 1024;

  private final List<Family> families;
  private final List<Sample> own = new CopyOnWriteArrayList<>(); // added through this view
  private final Map<String, String> base;
  private final String labels;

  /**
   * @param labels carried by every series, in order
   */
  public Exposition(Map<String, String> labels) {
    this(labels, new CopyOnWriteArrayList<>());
  }

  private Exposition(Map<String, String> labels, List<Family> families) {
    this.base = new LinkedHashMap<>(labels);
    this.labels = render(labels);
    this.families = families;
  }

  /** The same page, for series that carry other labels: a name stays one family of them. */
  public Exposition labelled(Map<String, String> others) {
    return new Exposition(others, families);
  }

  /** A number that only grows; exposed with the suffix {@code _total}. */
  public Counter counter(String name, String help) {
    Counter counter = new Counter();
    counter(name, help, counter::value);
    return counter;
  }

  /** A counter that somebody else keeps. */
  public void counter(String name, String help, LongSupplier value) {
    add(name + "_total", help, "counter").add("", labels, value::getAsLong);
  }

  /** As {@link #counter(String, String, LongSupplier)}, of what is not counted in whole numbers. */
  public void decimalCounter(String name, String help, DoubleSupplier value) {
    add(name + "_total", help, "counter").add("", labels, value);
  }

  /** Counters told apart by the values of further labels. */
  public Labelled<Counter> counters(String name, String help, String... labelNames) {
    Family family = add(name + "_total", help, "counter");
    return new Labelled<>(
        labelNames,
        all -> {
          Counter counter = new Counter();
          family.add("", all, counter::value);
          return counter;
        });
  }

  /** Counters that somebody else keeps, told apart by the value of one more label. */
  public void counters(
      String name, String help, String label, Map<String, ? extends DoubleSupplier> values) {
    Family family = add(name + "_total", help, "counter");
    values.forEach((of, value) -> family.add("", join(labels, render(Map.of(label, of))), value));
  }

  /** A number that goes up and down, read when it is asked for. */
  public void gauge(String name, String help, DoubleSupplier value) {
    add(name, help, "gauge").add("", labels, value);
  }

  /** Such numbers by the value of one more label. */
  public void gauges(
      String name, String help, String label, Map<String, ? extends DoubleSupplier> values) {
    Family family = add(name, help, "gauge");
    values.forEach((of, value) -> family.add("", join(labels, render(Map.of(label, of))), value));
  }

  /** A constant 1 whose labels carry facts. */
  public void info(String name, String help, Map<String, String> facts) {
    add(name, help, "gauge").add("", join(labels, render(facts)), () -> 1);
  }

  /** A number beside facts that change, without the labels that every other series carries. */
  public void changingInfo(
      String name, String help, Supplier<Map<String, String>> facts, DoubleSupplier value) {
    Sample sample = new Sample("", () -> render(facts.get()), value);
    add(name, help, "gauge").series.add(sample);
    own.add(sample);
  }

  /**
   * A distribution.
   *
   * @param bounds upper bounds of the buckets, ascending; +Inf is added
   */
  public Histogram histogram(String name, String help, double... bounds) {
    Histogram histogram = new Histogram(bounds);
    add(name, help, "histogram").add(labels, histogram);
    return histogram;
  }

  /** One more name of a distribution: what observes it observes both. */
  public void histogram(String name, String help, Histogram same) {
    add(name, help, "histogram").add(labels, same);
  }

  /** Distributions told apart by the values of further labels. */
  public Labelled<Histogram> histograms(
      String name, String help, List<String> labelNames, double... bounds) {
    Family family = add(name, help, "histogram");
    return new Labelled<>(
        labelNames.toArray(String[]::new),
        all -> {
          Histogram histogram = new Histogram(bounds);
          family.add(all, histogram);
          return histogram;
        });
  }

  /** Sums and counts told apart by the value of one more label; there are no quantiles. */
  public Labelled<Histogram> summaries(String name, String help, String label) {
    Family family = add(name, help, "summary");
    return new Labelled<>(
        new String[] {label},
        all -> {
          Histogram summary = new Histogram();
          family.add("_count", all, summary::count);
          family.add("_sum", all, summary::sum);
          return summary;
        });
  }

  /** A sum and a count that somebody else keeps, by the value of one more label. */
  public void summary(
      String name, String help, Map<String, String> more, DoubleSupplier sum, LongSupplier count) {
    Family family = add(name, help, "summary");
    String all = join(labels, render(more));
    family.add("_count", all, count::getAsLong);
    family.add("_sum", all, sum);
  }

  /** Takes what was added through this view off the page. */
  public void remove() {
    families.forEach(family -> family.series.removeAll(own));
    own.clear();
  }

  /** The family of that name; names are added while a server starts, by one thread at a time. */
  private Family add(String name, String help, String type) {
    for (Family family : families) {
      if (family.name.equals(name)) {
        return new Family(name, family.help, family.type, family.series, own);
      }
    }
    Family family = new Family(name, help, type, new CopyOnWriteArrayList<>(), own);
    families.add(family);
    return family;
  }

  /** Appends what {@code /metrics} serves. */
  public void write(StringBuilder page) {
    for (Family family : families) {
      if (!family.series.isEmpty()) {
        write(page, family);
      }
    }
  }

  private static void write(StringBuilder page, Family family) {
    page.append("# HELP ").append(family.name).append(' ').append(family.help).append('\n');
    page.append("# TYPE ").append(family.name).append(' ').append(family.type).append('\n');
    for (Sample sample : family.series) {
      page.append(family.name).append(sample.suffix);
      String shown = sample.labels.get();
      if (!shown.isEmpty()) {
        page.append('{').append(shown).append('}');
      }
      page.append(' ').append(number(sample.value.getAsDouble())).append('\n');
    }
  }

  /** All of it. */
  public String text() {
    StringBuilder page = new StringBuilder(PAGE_CHARS);
    write(page);
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

  private record Family(
      String name, String help, String type, List<Sample> series, List<Sample> own) {
    void add(String suffix, String labels, DoubleSupplier value) {
      Sample sample = new Sample(suffix, () -> labels, value);
      series.add(sample);
      own.add(sample);
    }

    void add(String labels, Histogram histogram) {
      double[] bounds = histogram.bounds;
      for (int i = 0; i <= bounds.length; i++) {
        int bucket = i;
        String bound = i == bounds.length ? "+Inf" : number(bounds[i]);
        add("_bucket", join(labels, "le=\"" + bound + "\""), () -> histogram.upTo(bucket));
      }
      add("_sum", labels, histogram::sum);
      add("_count", labels, histogram::count);
    }
  }

  private record Sample(String suffix, Supplier<String> labels, DoubleSupplier value) {}

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

  /**
   * Metrics of one name, one for each combination of values of its own labels. Thread-safe.
   *
   * @param <T> what they are
   */
  public final class Labelled<T> {
    private final ConcurrentMap<List<String>, T> byValues = new ConcurrentHashMap<>();
    private final String[] names;
    private final Function<String, T> make;

    private Labelled(String[] names, Function<String, T> make) {
      this.names = names;
      this.make = make;
    }

    /**
     * The one of these values; they must come from closed sets, or series grow without bound.
     *
     * @param values one for each of the labels
     */
    public T of(String... values) {
      return byValues.computeIfAbsent(List.of(values), this::make);
    }

    private T make(List<String> values) {
      Map<String, String> all = new LinkedHashMap<>(base);
      for (int i = 0; i < names.length; i++) {
        all.put(names[i], values.get(i));
      }
      return make.apply(render(all));
    }
  }

  /** See {@link Exposition#histogram(String, String, double...)}. Thread-safe. */
  public static final class Histogram {
    private final double[] bounds;
    private final LongAdder[] counts;
    private final DoubleAdder sum = new DoubleAdder();

    private Histogram(double... bounds) {
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

    private long count() {
      return upTo(bounds.length);
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
