package io.verdier.verticles.bench;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The flags of {@code bench serve}, with vLLM's names: one row each. */
enum BenchFlag {
  BASE_URL("URL", null, "the server to measure; otherwise http at --host and --port"),
  HOST("NAME", "127.0.0.1", "where --base-url is not given"),
  PORT("N", "8000", "where --base-url is not given"),
  ENDPOINT("PATH", "/v1/completions", "that, or /v1/chat/completions"),
  MODEL("NAME", null, "model to ask for; otherwise the first of /v1/models"),
  API_KEY("KEY", null, "sent as a bearer token"),
  BACKEND("NAME", "openai", "vllm, openai or openai-chat; taken for vLLM's sake, see --endpoint"),
  DATASET_NAME("NAME", "random", "random, or prefix_repetition: prompts that begin alike"),
  NUM_PROMPTS("N", "1000", "requests to send"),
  NUM_WARMUPS("N", "0", "further requests before, not measured"),
  REQUEST_RATE("RPS", "inf", "requests per second; inf sends all at once"),
  BURSTINESS("SHAPE", "1.0", "of the gamma distribution between requests; 1 is a Poisson process"),
  MAX_CONCURRENCY("N", null, "most requests under way at a time"),
  RANDOM_INPUT_LEN("N", "1024", "tokens of a prompt; also --input-len"),
  RANDOM_OUTPUT_LEN("N", "128", "tokens of an answer; also --output-len"),
  RANDOM_RANGE_RATIO("R", "0.0", "lengths vary evenly between (1 - R) and (1 + R) times that"),
  PREFIX_REPETITION_PREFIX_LEN("N", "256", "tokens of a beginning that prompts share"),
  PREFIX_REPETITION_SUFFIX_LEN("N", "256", "tokens behind it, of each prompt's own"),
  PREFIX_REPETITION_NUM_PREFIXES("N", "10", "different beginnings, in random order"),
  PREFIX_REPETITION_OUTPUT_LEN("N", "128", "tokens of an answer"),
  SEED("N", "0", "of lengths, words and arrival times"),
  TEMPERATURE("T", null, "sampling temperature; otherwise the server's default"),
  IGNORE_EOS(null, null, "answers have exactly the length asked for (default)"),
  NO_IGNORE_EOS(null, null, "answers may end earlier"),
  PERCENTILE_METRICS("LIST", "ttft,tpot,itl,e2el", "metrics to print"),
  METRIC_PERCENTILES("LIST", "99", "percentiles to print, such as 50,99"),
  EXPECTED_STEP_MS("MS", null, "step time of a timed backend: report what the server adds to it"),
  SAVE_RESULT("FILE", null, "write the result as JSON"),
  HELP(null, null, "print this and exit");

  private final @Nullable String placeholder;
  private final @Nullable String fallback;
  private final String help;

  BenchFlag(@Nullable String placeholder, @Nullable String fallback, String help) {
    this.placeholder = placeholder;
    this.fallback = fallback;
    this.help = help;
  }

  /** With two dashes and dashes between the words. */
  String flag() {
    return "--" + name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  boolean takesValue() {
    return placeholder != null;
  }

  @Nullable String fallback() {
    return fallback;
  }

  /** The flag as typed: {@code --a-b}, {@code --a_b} or its short form. */
  static Optional<BenchFlag> named(String typed) {
    String flag =
        switch (typed.replace('_', '-')) {
          case "--input-len" -> RANDOM_INPUT_LEN.flag();
          case "--output-len" -> RANDOM_OUTPUT_LEN.flag();
          case "-h" -> HELP.flag();
          case String other -> other;
        };
    return Arrays.stream(values()).filter(row -> row.flag().equals(flag)).findFirst();
  }

  static String usage() {
    StringBuilder text = new StringBuilder("Usage: verdier bench serve [flags]\n\n");
    for (BenchFlag row : values()) {
      String left = row.placeholder == null ? row.flag() : row.flag() + " " + row.placeholder;
      String right = row.fallback == null ? row.help : row.help + " (" + row.fallback + ")";
      text.append(String.format(Locale.ROOT, "  %-34s %s%n", left, right));
    }
    return text.toString();
  }
}
