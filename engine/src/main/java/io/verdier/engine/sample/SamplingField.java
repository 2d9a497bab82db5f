package io.verdier.engine.sample;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Every sampling field of the API, one row each: what validation checks and what the documentation
 * prints. Names, ranges and defaults are vLLM's; a further limit of ours is said in the help.
 */
public enum SamplingField {
  N("n", Kind.INTEGER, Range.atLeast(1), 1, "how many answers to generate"),
  TEMPERATURE(
      "temperature",
      Kind.NUMBER,
      Range.between(0, 2),
      1.0,
      "randomness; 0 always takes the most probable token"),
  TOP_P(
      "top_p",
      Kind.NUMBER,
      Range.above(0, 1),
      1.0,
      "choose among the most probable tokens that have this probability together"),
  TOP_K(
      "top_k",
      Kind.INTEGER,
      Range.atLeast(-1),
      0,
      "choose among this many most probable tokens; 0 or -1 is off"),
  MIN_P(
      "min_p",
      Kind.NUMBER,
      Range.between(0, 1),
      0.0,
      "leave out tokens less probable than this fraction of the most probable one"),
  PRESENCE_PENALTY(
      "presence_penalty",
      Kind.NUMBER,
      Range.between(-2, 2),
      0.0,
      "taken from the logit of a token that was generated before"),
  FREQUENCY_PENALTY(
      "frequency_penalty",
      Kind.NUMBER,
      Range.between(-2, 2),
      0.0,
      "the same, once for each time it was generated"),
  REPETITION_PENALTY(
      "repetition_penalty",
      Kind.NUMBER,
      Range.between(1e-6, 1e6),
      1.0,
      "divides positive and multiplies negative logits of tokens in the prompt or the answer"),
  SEED(
      "seed",
      Kind.INTEGER,
      Range.between(Long.MIN_VALUE, Long.MAX_VALUE),
      null,
      "the same seed gives the same answer; -1 is none"),
  MAX_TOKENS("max_tokens", Kind.INTEGER, Range.atLeast(1), null, "most tokens to generate"),
  MAX_COMPLETION_TOKENS(
      "max_completion_tokens",
      Kind.INTEGER,
      Range.atLeast(1),
      null,
      "the same; wins over max_tokens"),
  MIN_TOKENS(
      "min_tokens",
      Kind.INTEGER,
      Range.atLeast(0),
      0,
      "the answer cannot end by a stop token before it has so many tokens"),
  IGNORE_EOS(
      "ignore_eos",
      Kind.BOOLEAN,
      Range.NONE,
      false,
      "do not stop at the model's own end of the answer"),
  STOP_TOKEN_IDS(
      "stop_token_ids", Kind.TOKEN_IDS, Range.atLeast(0), null, "further tokens that stop"),
  LOGIT_BIAS(
      "logit_bias",
      Kind.BIAS,
      Range.between(-100, 100),
      null,
      "token id to a number that is added to its logit; larger numbers count as the limit"),
  ALLOWED_TOKEN_IDS(
      "allowed_token_ids",
      Kind.TOKEN_IDS,
      Range.atLeast(0),
      null,
      "the only tokens that may be generated; at least one"),
  BAD_WORDS(
      "bad_words",
      Kind.STRINGS,
      Range.between(0, 128),
      null,
      "up to 128 texts, of up to 1024 characters, that must not be said"),
  LOGPROBS(
      "logprobs",
      Kind.SWITCH_OR_COUNT,
      Range.atLeast(-1),
      null,
      "report log probabilities: true or false in chats, a number of tokens in completions;"
          + " at most --max-logprobs, and -1 is all"),
  TOP_LOGPROBS(
      "top_logprobs",
      Kind.INTEGER,
      Range.atLeast(-1),
      0,
      "how many of the most probable tokens to report, with logprobs = true; at most"
          + " --max-logprobs, and -1 is all"),
  PROMPT_LOGPROBS(
      "prompt_logprobs",
      Kind.INTEGER,
      Range.atLeast(-1),
      null,
      "the same for each token of the prompt; at most --max-logprobs, and -1 is all"),
  LOGPROB_TOKEN_IDS(
      "logprob_token_ids",
      Kind.TOKEN_IDS,
      Range.atLeast(0),
      null,
      "the tokens whose log probabilities to report, with logprobs, in place of the most probable"
          + " ones; at most 128");

  private static final Map<String, SamplingField> BY_NAME =
      Arrays.stream(values())
          .collect(Collectors.toUnmodifiableMap(field -> field.apiName, Function.identity()));

  private final String apiName;
  private final Kind kind;

  @SuppressWarnings("Immutable") // a record of numbers
  private final Range range;

  @SuppressWarnings("Immutable") // a boxed number or Boolean
  private final @Nullable Object fallback;

  private final String help;

  SamplingField(String apiName, Kind kind, Range range, @Nullable Object fallback, String help) {
    this.apiName = apiName;
    this.kind = kind;
    this.range = range;
    this.fallback = fallback;
    this.help = help;
  }

  /** The field with this name in the API; empty where it is not about sampling. */
  public static Optional<SamplingField> named(String apiName) {
    return Optional.ofNullable(BY_NAME.get(apiName));
  }

  public String apiName() {
    return apiName;
  }

  public Kind kind() {
    return kind;
  }

  public Range range() {
    return range;
  }

  /** The default where neither request nor model says otherwise; null: none. */
  public @Nullable Object fallback() {
    return fallback;
  }

  /** What the field does, as a phrase without a full stop. */
  public String help() {
    return help;
  }

  /** What kind of JSON value a field takes. */
  public enum Kind {
    NUMBER("a number"),
    INTEGER("a whole number"),
    BOOLEAN("true or false"),
    SWITCH_OR_COUNT("true, false or a whole number"),
    TOKEN_IDS("a list of token ids"),
    BIAS("an object of token ids and numbers"),
    STRINGS("a list of strings");

    private final String text;

    Kind(String text) {
      this.text = text;
    }

    /** With its article, to end "it must be". */
    public String text() {
      return text;
    }
  }

  /** Values a number may have; {@code max} is always among them, {@code min} unless open. */
  public record Range(double min, boolean minIsOpen, double max) {
    /** For what is not a number. */
    public static final Range NONE = between(0, 0);

    /** Any number but infinity and NaN. */
    static final Range ALL = between(-Double.MAX_VALUE, Double.MAX_VALUE);

    static Range between(double min, double max) {
      return new Range(min, false, max);
    }

    static Range above(double min, double max) {
      return new Range(min, true, max);
    }

    static Range atLeast(double min) {
      return new Range(min, false, Double.MAX_VALUE);
    }

    boolean has(double value) {
      return (minIsOpen ? value > min : value >= min) && value <= max;
    }

    /** To end "it must be". */
    public String text() {
      if (this.equals(ALL)) {
        return "finite";
      }
      if (max == Double.MAX_VALUE) {
        return "at least " + plain(min);
      }
      return minIsOpen
          ? "above " + plain(min) + " and at most " + plain(max)
          : "between " + plain(min) + " and " + plain(max);
    }

    private static String plain(double value) {
      return new BigDecimal(value)
          .round(MathContext.DECIMAL64)
          .stripTrailingZeros()
          .toPlainString();
    }
  }
}
