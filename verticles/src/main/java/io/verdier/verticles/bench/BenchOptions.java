package io.verdier.verticles.bench;

import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * What to measure. Immutable.
 *
 * @param baseUrl without a slash at its end
 * @param chat whether the endpoint takes messages rather than a prompt
 * @param requestRate per second; infinite sends all at once
 * @param maxConcurrency {@link Integer#MAX_VALUE} where there is no limit
 * @param sharedPrefixes beginnings of prompts; empty: each prompt has its own
 * @param rangeRatio lengths lie between (1 - ratio) and (1 + ratio) times the given ones
 * @param expectedStepMs what a token takes without the server's own work
 */
record BenchOptions(
    String baseUrl,
    String endpoint,
    boolean chat,
    Optional<String> model,
    Optional<String> apiKey,
    int requests,
    int warmUps,
    double requestRate,
    double burstiness,
    int maxConcurrency,
    int inputTokens,
    int outputTokens,
    Optional<SharedPrefixes> sharedPrefixes,
    double rangeRatio,
    long seed,
    OptionalDouble temperature,
    boolean ignoreEos,
    List<Metric> metrics,
    List<Double> percentiles,
    OptionalDouble expectedStepMs,
    Optional<String> resultFile) {

  /**
   * Beginnings that several prompts have.
   *
   * @param count of different ones
   * @param tokens of each, of the prompt's
   */
  record SharedPrefixes(int count, int tokens) {}

  /** Problems with the command line, all of them. */
  static final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1;

    UsageException(List<String> problems) {
      super(String.join(System.lineSeparator(), problems), null, false, false);
    }
  }

  /**
   * @throws UsageException if anything in {@code argv} is wrong
   */
  static BenchOptions parse(List<String> argv) {
    List<String> problems = new ArrayList<>();
    Values values = new Values(given(argv, problems), problems);
    String endpoint = values.text(BenchFlag.ENDPOINT).orElseThrow();
    values.oneOf(BenchFlag.BACKEND, "vllm", "openai", "openai-chat");
    values.oneOf(BenchFlag.DATASET_NAME, "random", "prefix_repetition");
    Optional<SharedPrefixes> prefixes = values.sharedPrefixes();
    int suffix = values.count(BenchFlag.PREFIX_REPETITION_SUFFIX_LEN, 1);
    if (!endpoint.endsWith("/completions")) {
      problems.add(
          "--endpoint is "
              + endpoint
              + "; it must be /v1/completions, /v1/chat/completions or a path that ends so");
    }
    BenchOptions options =
        new BenchOptions(
            values.baseUrl(),
            endpoint,
            endpoint.endsWith("/chat/completions"),
            values.text(BenchFlag.MODEL),
            values.text(BenchFlag.API_KEY),
            values.count(BenchFlag.NUM_PROMPTS, 1),
            values.count(BenchFlag.NUM_WARMUPS, 0),
            values.positive(BenchFlag.REQUEST_RATE),
            values.positive(BenchFlag.BURSTINESS),
            values.count(BenchFlag.MAX_CONCURRENCY, 1),
            prefixes.isPresent()
                ? prefixes.get().tokens() + suffix
                : values.count(BenchFlag.RANDOM_INPUT_LEN, 1),
            values.count(
                prefixes.isPresent()
                    ? BenchFlag.PREFIX_REPETITION_OUTPUT_LEN
                    : BenchFlag.RANDOM_OUTPUT_LEN,
                1),
            prefixes,
            values.number(
                BenchFlag.RANDOM_RANGE_RATIO, ratio -> ratio >= 0 && ratio < 1, "0 to below 1"),
            (long) values.number(BenchFlag.SEED, seed -> seed == Math.rint(seed), "a whole number"),
            values.optional(BenchFlag.TEMPERATURE),
            !values.given.containsKey(BenchFlag.NO_IGNORE_EOS),
            values.list(BenchFlag.PERCENTILE_METRICS, Metric::named),
            values.list(BenchFlag.METRIC_PERCENTILES, Values::percentile),
            values.optional(BenchFlag.EXPECTED_STEP_MS),
            values.text(BenchFlag.SAVE_RESULT));
    if (!problems.isEmpty()) {
      throw new UsageException(problems);
    }
    return options;
  }

  private static Map<BenchFlag, String> given(List<String> argv, List<String> problems) {
    Map<BenchFlag, String> given = new EnumMap<>(BenchFlag.class);
    for (int i = 0; i < argv.size(); i++) {
      String argument = argv.get(i);
      int equals = argument.indexOf('=');
      String name = equals < 0 ? argument : argument.substring(0, equals);
      Optional<BenchFlag> flag = BenchFlag.named(name);
      if (flag.isEmpty()) {
        problems.add("unknown argument " + argument + "; --help lists what there is");
      } else if (!flag.get().takesValue()) {
        given.put(flag.get(), "");
      } else if (equals >= 0) {
        given.put(flag.get(), argument.substring(equals + 1));
      } else if (i + 1 < argv.size()) {
        given.put(flag.get(), argv.get(++i));
      } else {
        problems.add(argument + " needs a value");
      }
    }
    return given;
  }

  /** Owned by the caller. Reads values, and notes what is wrong instead of stopping at it. */
  private record Values(Map<BenchFlag, String> given, List<String> problems) {

    Optional<String> text(BenchFlag flag) {
      return Optional.ofNullable(given.getOrDefault(flag, flag.fallback()));
    }

    String baseUrl() {
      String host = text(BenchFlag.HOST).orElseThrow();
      int port = count(BenchFlag.PORT, 1);
      String url = text(BenchFlag.BASE_URL).orElse("http://" + host + ":" + port);
      url = url.replaceAll("/+$", "");
      try {
        URI uri = URI.create(url);
        if (uri.getHost() != null && List.of("http", "https").contains(uri.getScheme())) {
          return url;
        }
      } catch (IllegalArgumentException notAUri) {
        // The same problem as a URI without a host.
      }
      return problem(BenchFlag.BASE_URL, "a URL such as http://127.0.0.1:8000", url);
    }

    Optional<SharedPrefixes> sharedPrefixes() {
      if (!text(BenchFlag.DATASET_NAME).orElseThrow().equals("prefix_repetition")) {
        return Optional.empty();
      }
      return Optional.of(
          new SharedPrefixes(
              count(BenchFlag.PREFIX_REPETITION_NUM_PREFIXES, 1),
              count(BenchFlag.PREFIX_REPETITION_PREFIX_LEN, 1)));
    }

    void oneOf(BenchFlag flag, String... accepted) {
      String text = text(flag).orElseThrow();
      if (!List.of(accepted).contains(text)) {
        problem(flag, String.join(" or ", accepted), text);
      }
    }

    /** Without a value: no limit. */
    int count(BenchFlag flag, int min) {
      if (text(flag).isEmpty()) {
        return Integer.MAX_VALUE;
      }
      String range = "a whole number, at least " + min;
      return (int)
          number(
              flag,
              value -> value >= min && value <= Integer.MAX_VALUE && value == Math.rint(value),
              range);
    }

    double positive(BenchFlag flag) {
      return number(flag, value -> value > 0, "above 0");
    }

    OptionalDouble optional(BenchFlag flag) {
      return text(flag).isEmpty()
          ? OptionalDouble.empty()
          : OptionalDouble.of(number(flag, value -> value >= 0, "a number, at least 0"));
    }

    double number(BenchFlag flag, Function<Double, Boolean> accepts, String range) {
      String text = text(flag).orElseThrow();
      Optional<Double> value = decimal(text);
      if (value.isEmpty() || !accepts.apply(value.get())) {
        problem(flag, range, text);
      }
      return value.orElse(1.0);
    }

    <T> List<T> list(BenchFlag flag, Function<String, Optional<T>> parse) {
      List<T> values = new ArrayList<>();
      for (String part : text(flag).orElseThrow().split(",")) {
        Optional<T> value = parse.apply(part.strip());
        value.ifPresent(values::add);
        if (value.isEmpty()) {
          problem(
              flag,
              flag == BenchFlag.PERCENTILE_METRICS
                  ? "some of " + Arrays.toString(Metric.values()).toLowerCase(Locale.ROOT)
                  : "numbers from 0 to 100, separated by commas",
              part);
        }
      }
      return values;
    }

    static Optional<Double> percentile(String text) {
      return decimal(text).filter(value -> value >= 0 && value <= 100);
    }

    private static Optional<Double> decimal(@Nullable String text) {
      try {
        return "inf".equals(text)
            ? Optional.of(Double.POSITIVE_INFINITY)
            : Optional.ofNullable(text).map(Double::valueOf).filter(value -> !value.isNaN());
      } catch (NumberFormatException notANumber) {
        return Optional.empty();
      }
    }

    private String problem(BenchFlag flag, String range, String value) {
      problems.add(flag.flag() + " is " + value + "; it must be " + range);
      return value;
    }
  }
}
