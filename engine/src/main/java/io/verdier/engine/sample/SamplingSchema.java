package io.verdier.engine.sample;

import static io.verdier.engine.sample.SamplingField.*;

import io.verdier.engine.RejectedException;
import io.verdier.engine.sample.SamplingField.Range;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * Immutable. From values by API name to {@link SamplingParams}, for one model: the request's value,
 * else the model's {@code generation_config.json}, else the built-in default.
 */
public final class SamplingSchema {
  /** What a model's generation config may preset; its other entries are not about sampling. */
  private static final List<SamplingField> PRESET =
      List.of(TEMPERATURE, TOP_P, TOP_K, MIN_P, REPETITION_PENALTY);

  private static final int SCORED_IDS_MAX = 128; // vLLM's

  /** Characters of a bad word; as many as a stop string may have, where no flag says otherwise. */
  private static final int BAD_WORD_CHARS_MAX = 1024;

  private static final String MAX_NEW_TOKENS = "max_new_tokens";

  private final Bounds bounds;
  private final EnumMap<SamplingField, Object> presets = new EnumMap<>(SamplingField.class);
  private final int maxNewTokens;

  /**
   * Limits that the table cannot know.
   *
   * @param vocabSize token ids are below this
   * @param logprobsMax most reported tokens per position ({@code --max-logprobs}); -1: all
   * @param choicesMax largest {@code n}
   * @param logitBiasMax most entries of {@code logit_bias}
   */
  public record Bounds(int vocabSize, int logprobsMax, int choicesMax, int logitBiasMax) {
    public Bounds {
      logprobsMax = logprobsMax < 0 ? vocabSize : Math.min(logprobsMax, vocabSize);
    }
  }

  /**
   * @param generationConfig the model's, by name; entries that it does not preset are ignored.
   *     Empty for the built-in defaults
   * @throws RejectedException if a preset is out of range; the parameter begins with {@code
   *     generation_config}
   */
  public SamplingSchema(Bounds bounds, Map<String, ?> generationConfig) {
    this.bounds = bounds;
    for (SamplingField field : PRESET) {
      Object value = generationConfig.get(field.apiName());
      if (value != null) {
        presets.put(field, parsed(field, "generation_config." + field.apiName(), value));
      }
    }
    Object cap = generationConfig.get(MAX_NEW_TOKENS);
    this.maxNewTokens =
        cap == null
            ? Integer.MAX_VALUE
            : FieldValues.integer("generation_config." + MAX_NEW_TOKENS, cap, Range.atLeast(1));
  }

  /** Whether a model's generation config may say the default of a field. */
  public static boolean mayBePreset(SamplingField field) {
    return PRESET.contains(field);
  }

  /** How the choices of a request come about. */
  public enum Choices {
    /** Each with random numbers of its own: without randomness they would be the same. */
    DRAWN,
    /** By a search, which finds different ones. */
    FOUND
  }

  /** Starts one request. */
  public Builder builder() {
    return new Builder();
  }

  private Range range(SamplingField field) {
    return switch (field) {
      case N -> Range.between(1, bounds.choicesMax);
      case LOGPROBS, TOP_LOGPROBS, PROMPT_LOGPROBS -> Range.between(-1, bounds.logprobsMax);
      default -> field.range();
    };
  }

  private Object parsed(SamplingField field, String path, Object value) {
    return switch (field.kind()) {
      case NUMBER -> FieldValues.number(path, value, range(field));
      case INTEGER ->
          field == SEED
              ? FieldValues.longInteger(path, value)
              : (Object) FieldValues.integer(path, value, range(field));
      case BOOLEAN -> FieldValues.bool(path, value);
      case SWITCH_OR_COUNT ->
          value instanceof Boolean
              ? value
              : (Object) FieldValues.integer(path, value, range(field));
      case TOKEN_IDS -> FieldValues.tokenIds(path, value, bounds.vocabSize);
      case BIAS -> bias(field, path, value);
      case STRINGS -> FieldValues.strings(path, value, range(field), BAD_WORD_CHARS_MAX);
    };
  }

  private Object bias(SamplingField field, String path, Object value) {
    if (value instanceof Map<?, ?> map && map.size() > bounds.logitBiasMax) {
      String text = path + " has " + map.size() + " entries; the limit is " + bounds.logitBiasMax;
      throw RejectedException.invalid(path, text);
    }
    return FieldValues.bias(path, value, range(field), bounds.vocabSize);
  }

  /** Owned by the thread that reads the request. Takes its fields one by one, in any order. */
  public final class Builder {
    private final EnumMap<SamplingField, Object> given = new EnumMap<>(SamplingField.class);

    private Repetition repetition = Repetition.NONE;

    private Builder() {}

    /**
     * Takes one field.
     *
     * @param value of decoded JSON: Number, String, Boolean, List, Map; null is as if it was not
     *     given
     * @return whether the name is one of the {@link SamplingField}s
     * @throws RejectedException if the value does not fit; it names field, value and range
     */
    public boolean set(String apiName, @Nullable Object value) {
      Optional<SamplingField> field = SamplingField.named(apiName);
      if (field.isPresent() && value != null) {
        given.put(field.get(), parsed(field.get(), apiName, value));
      }
      return field.isPresent();
    }

    /** {@code n}, 1 unless given. */
    public int choices() {
      return integer(N);
    }

    /** What {@code max_completion_tokens}, or else {@code max_tokens}, asks for. */
    public OptionalInt maxTokens() {
      Object value = given.getOrDefault(MAX_COMPLETION_TOKENS, given.get(MAX_TOKENS));
      return value == null ? OptionalInt.empty() : OptionalInt.of((Integer) value);
    }

    /**
     * The {@code bad_words} as given. They become tokens later (see {@link
     * SamplingParams#withBadWords}), since only the tokenizer can say which.
     */
    @SuppressWarnings("unchecked")
    public List<String> badWords() {
      return (List<String>) given.getOrDefault(BAD_WORDS, List.of());
    }

    /**
     * Checks what concerns several fields and gives the parameters of the first choice.
     *
     * @param seed taken where the request gives none
     * @param maxTokens taken where the request gives none; the model's own cap applies to both
     */
    public SamplingParams build(long seed, int maxTokens) {
      return build(seed, maxTokens, Choices.DRAWN);
    }

    /** As {@link #build(long, int)}. */
    public SamplingParams build(long seed, int maxTokens, Choices kind) {
      int limit = Math.min(maxTokens().orElse(maxTokens), maxNewTokens);
      checkMinTokens();
      if (kind == Choices.DRAWN) {
        checkGreedyChoices();
      }
      int[] allowed = ids(ALLOWED_TOKEN_IDS);
      if (allowed.length == 0 && given.containsKey(ALLOWED_TOKEN_IDS)) {
        throw FieldValues.refused(
            ALLOWED_TOKEN_IDS.apiName(), List.of(), "left out or name at least one token");
      }
      Object givenSeed = given.getOrDefault(SEED, -1L);
      NavigableMap<Integer, Float> bias = bias();
      return new SamplingParams(
          real(TEMPERATURE),
          real(TOP_P),
          Math.max(0, integer(TOP_K)),
          real(MIN_P),
          real(PRESENCE_PENALTY),
          real(FREQUENCY_PENALTY),
          real(REPETITION_PENALTY),
          givenSeed.equals(-1L) ? seed : (Long) givenSeed,
          limit,
          integer(MIN_TOKENS),
          Boolean.TRUE.equals(given.get(IGNORE_EOS)),
          ids(STOP_TOKEN_IDS),
          bias.keySet().stream().mapToInt(Integer::intValue).toArray(),
          floats(bias),
          allowed,
          new int[0][],
          logprobs(),
          given.containsKey(PROMPT_LOGPROBS) ? count(PROMPT_LOGPROBS) : SamplingParams.NO_SCORES,
          Pooling.NONE,
          scoredIds(kind),
          repetition);
    }

    /** What ends an answer that repeats itself. */
    public void endRepetition(Repetition kind) {
      repetition = kind;
    }

    private void checkMinTokens() {
      int least = integer(MIN_TOKENS);
      int most = maxTokens().orElse(Integer.MAX_VALUE);
      if (least > most) {
        throw FieldValues.refused(
            MIN_TOKENS.apiName(), least, "at most max_tokens, which is " + most);
      }
    }

    private void checkGreedyChoices() {
      if (choices() > 1 && SamplingParams.isGreedy(real(TEMPERATURE))) {
        throw FieldValues.refused(
            N.apiName(), choices(), "1 with temperature 0, where all choices would be the same");
      }
    }

    /** How many tokens' log probabilities to report; -1 in a request means all. */
    private int count(SamplingField field) {
      int count = integer(field);
      if (count >= 0) {
        return count;
      }
      if (bounds.logprobsMax < bounds.vocabSize) {
        throw FieldValues.refused(
            field.apiName(),
            count,
            "at most %d: all are %d tokens, and --max-logprobs allows fewer"
                .formatted(bounds.logprobsMax, bounds.vocabSize));
      }
      return bounds.vocabSize;
    }

    private int[] scoredIds(Choices kind) {
      int[] ids = ids(LOGPROB_TOKEN_IDS);
      String name = LOGPROB_TOKEN_IDS.apiName();
      if (ids.length > SCORED_IDS_MAX) {
        throw FieldValues.refused(name, ids.length, "at most " + SCORED_IDS_MAX + " token ids");
      }
      List<Integer> shown = Arrays.stream(ids).boxed().toList();
      if (ids.length > 0 && kind == Choices.FOUND) {
        throw FieldValues.refused(name, shown, "left out of a beam search");
      }
      if (ids.length > 0 && logprobs() < 0) {
        throw FieldValues.refused(name, shown, "left out unless logprobs is there");
      }
      return ids;
    }

    private int logprobs() {
      int top = count(TOP_LOGPROBS);
      Object logprobs = given.getOrDefault(LOGPROBS, false);
      if (logprobs instanceof Integer) {
        return count(LOGPROBS);
      }
      if (logprobs.equals(true)) {
        return top;
      }
      if (top > 0) {
        throw FieldValues.refused(
            TOP_LOGPROBS.apiName(), integer(TOP_LOGPROBS), "left out unless logprobs is true");
      }
      return -1;
    }

    private float real(SamplingField field) {
      return ((Number) value(field)).floatValue();
    }

    private int integer(SamplingField field) {
      return ((Number) value(field)).intValue();
    }

    private Object value(SamplingField field) {
      Object value = given.getOrDefault(field, presets.getOrDefault(field, field.fallback()));
      if (value == null) {
        throw new IllegalStateException(field + " has no default");
      }
      return value;
    }

    private int[] ids(SamplingField field) {
      return given.get(field) instanceof int[] ids ? ids : new int[0];
    }

    @SuppressWarnings("unchecked")
    private NavigableMap<Integer, Float> bias() {
      return (NavigableMap<Integer, Float>)
          given.getOrDefault(LOGIT_BIAS, Collections.emptyNavigableMap());
    }

    private static float[] floats(NavigableMap<Integer, Float> bias) {
      float[] values = new float[bias.size()];
      int i = 0;
      for (float value : bias.values()) {
        values[i++] = value;
      }
      return values;
    }
  }
}
