package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SamplingSchemaTest {
  private static final SamplingSchema.Bounds BOUNDS = new SamplingSchema.Bounds(1000, 20, 8, 3);
  private static final SamplingSchema SCHEMA = new SamplingSchema(BOUNDS, Map.of());

  /** Every default, written down: a change here is a change of the API. */
  @Test
  void build_nothingGiven_hasTheDefaults() {
    SamplingSchema.Builder builder = SCHEMA.builder();
    SamplingParams params = builder.build(99, 16);
    assertThat(builder.choices()).isEqualTo(1);
    assertThat(builder.maxTokens()).isEmpty();
    assertThat(builder.badWords()).isEmpty();
    assertThat(params.temperature()).isEqualTo(1);
    assertThat(params.topP()).isEqualTo(1);
    assertThat(params.topK()).isZero();
    assertThat(params.minP()).isZero();
    assertThat(params.presencePenalty()).isZero();
    assertThat(params.frequencyPenalty()).isZero();
    assertThat(params.repetitionPenalty()).isEqualTo(1);
    assertThat(params.seed()).isEqualTo(99);
    assertThat(params.maxTokens()).isEqualTo(16);
    assertThat(params.minTokens()).isZero();
    assertThat(params.ignoreEos()).isFalse();
    assertThat(params.stopTokenIds()).isEmpty();
    assertThat(params.biasIds()).isEmpty();
    assertThat(params.biasValues()).isEmpty();
    assertThat(params.allowedTokenIds()).isEmpty();
    assertThat(params.badWords()).isEmpty();
    assertThat(params.logprobs()).isEqualTo(-1);
    assertThat(params.promptLogprobs()).isEqualTo(-1);
  }

  @Test
  void build_everythingGiven_isTaken() {
    SamplingSchema.Builder builder = SCHEMA.builder();
    builder.set("n", 2);
    builder.set("temperature", 0.5);
    builder.set("top_p", new BigDecimal("0.9"));
    builder.set("top_k", 40L);
    builder.set("min_p", 0.05f);
    builder.set("presence_penalty", 1);
    builder.set("frequency_penalty", -2.0);
    builder.set("repetition_penalty", 1.25);
    builder.set("seed", Long.MIN_VALUE);
    builder.set("max_tokens", 5);
    builder.set("max_completion_tokens", 7.0);
    builder.set("min_tokens", 6);
    builder.set("ignore_eos", true);
    builder.set("stop_token_ids", List.of(9, 3, 9));
    builder.set("logit_bias", Map.of("7", 250, "3", -1.5));
    builder.set("allowed_token_ids", List.of(3, 7, 1));
    builder.set("bad_words", List.of("never", "this"));
    builder.set("logprobs", true);
    builder.set("top_logprobs", 4);
    builder.set("prompt_logprobs", 0);
    SamplingParams params = builder.build(99, 16);
    assertThat(builder.choices()).isEqualTo(2);
    assertThat(builder.badWords()).containsExactly("never", "this");
    assertThat(params)
        .usingRecursiveComparison()
        .isEqualTo(
            new SamplingParams(
                0.5f,
                0.9f,
                40,
                0.05f,
                1,
                -2,
                1.25f,
                Long.MIN_VALUE,
                7,
                6,
                true,
                new int[] {3, 9},
                new int[] {3, 7},
                new float[] {-1.5f, 100},
                new int[] {1, 3, 7},
                new int[0][],
                4,
                0));
  }

  @Test
  void set_nullAndUnknownNames_changeNothing() {
    SamplingSchema.Builder builder = SCHEMA.builder();
    for (SamplingField field : SamplingField.values()) {
      assertThat(builder.set(field.apiName(), null)).isTrue();
    }
    assertThat(builder.set("messages", "anything")).isFalse();
    assertThat(builder.build(99, 16))
        .usingRecursiveComparison()
        .isEqualTo(SCHEMA.builder().build(99, 16));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          temperature        | 3.5  | temperature is 3.5; it must be between 0 and 2
          temperature        | -0.1 | temperature is -0.1; it must be between 0 and 2
          temperature        | 1e400 | temperature is Infinity; it must be between 0 and 2
          temperature        | NaN  | temperature is NaN; it must be between 0 and 2
          top_p              | 0.0  | top_p is 0.0; it must be above 0 and at most 1
          top_p              | 1.1  | top_p is 1.1; it must be above 0 and at most 1
          top_k              | -2.0 | top_k is -2.0; it must be at least -1
          top_k              | 1.5  | top_k is 1.5; it must be a whole number at least -1
          top_k              | 1e10 | top_k is 1.0E10; it must be between -1 and 2147483647
          min_p              | 1.5  | min_p is 1.5; it must be between 0 and 1
          presence_penalty   | 2.5  | presence_penalty is 2.5; it must be between -2 and 2
          frequency_penalty  | -3.0 | frequency_penalty is -3.0; it must be between -2 and 2
          repetition_penalty | 0.0  | repetition_penalty is 0.0; it must be between 0.000001 and 1000000
          n                  | 0.0  | n is 0.0; it must be between 1 and 8
          n                  | 9.0  | n is 9.0; it must be between 1 and 8
          max_tokens         | 0.0  | max_tokens is 0.0; it must be at least 1
          min_tokens         | -1.0 | min_tokens is -1.0; it must be at least 0
          top_logprobs       | 21.0 | top_logprobs is 21.0; it must be between -1 and 20
          logprobs           | 21.0 | logprobs is 21.0; it must be between -1 and 20
          prompt_logprobs    | -2.0 | prompt_logprobs is -2.0; it must be between -1 and 20
          seed               | 1e19 | seed is 1.0E19; it must be a whole number of 64 bits
          seed               | 0.5  | seed is 0.5; it must be a whole number of 64 bits
          """)
  void set_numberOutOfRange_isRefusedByName(String field, double value, String text) {
    assertRefused(field, value).hasMessage(text);
  }

  @Test
  void set_wrongKind_isRefusedByName() {
    assertRefused("temperature", "hot")
        .hasMessage("temperature is \"hot\"; it must be a number between 0 and 2");
    assertRefused("temperature", List.of()).hasMessageContaining(" is []; it must be");
    assertRefused("top_k", Map.of("a", 1)).hasMessageContaining(" is {\"a\":1}; it must be");
    assertRefused("top_k", true).hasMessage("top_k is true; it must be a whole number at least -1");
    assertRefused("top_k", Double.NaN).hasMessageContaining("NaN; it must be");
    assertRefused("seed", "7").hasMessage("seed is \"7\"; it must be a whole number of 64 bits");
    assertRefused("seed", BigInteger.TWO.pow(64)).hasMessageContaining("whole number of 64 bits");
    assertRefused("ignore_eos", 1).hasMessage("ignore_eos is 1; it must be true or false");
    assertRefused("logprobs", "yes").hasMessageContaining("a whole number");
    assertRefused("max_tokens", new BigDecimal("1e999999999"))
        .hasMessageContaining("max_tokens is 1E+999999999");
    assertRefused("max_tokens", new BigDecimal("1e-999999999")).hasMessageContaining("max_tokens");
    assertRefused("max_tokens", BigInteger.TEN.pow(500)).hasMessageContaining("…; it must be");
  }

  @Test
  void set_tokenIds_areCheckedOneByOne() {
    assertRefused("stop_token_ids", 5).hasMessageContaining("a list of token ids");
    assertRefused("stop_token_ids", List.of(1, 1000))
        .hasMessage("stop_token_ids[1] is 1000; it must be between 0 and 999");
    assertRefused("allowed_token_ids", Arrays.asList(1, null))
        .hasMessage("allowed_token_ids[1] is null; it must be a whole number between 0 and 999");
  }

  @Test
  void set_logitBias_isCheckedEntryByEntry() {
    assertRefused("logit_bias", List.of()).hasMessageContaining("an object of token ids");
    assertRefused("logit_bias", Map.of("one", 1))
        .hasMessage("logit_bias has the key \"one\"; keys must be token ids between 0 and 999");
    assertRefused("logit_bias", Map.of("1000", 1)).hasMessageContaining("\"1000\"");
    assertRefused("logit_bias", Map.of("99999999999", 1)).hasMessageContaining("99999999999");
    assertRefused("logit_bias", Map.of("5", "x"))
        .hasMessage("logit_bias.5 is \"x\"; it must be a number");
    assertRefused("logit_bias", Map.of("5", Double.NaN)).hasMessageContaining("NaN");
    assertRefused("logit_bias", Map.of("1", 1, "2", 1, "3", 1, "4", 1))
        .hasMessage("logit_bias has 4 entries; the limit is 3");
  }

  @Test
  void set_badWords_areStringsAndFew() {
    assertRefused("bad_words", "word").hasMessageContaining("a list of strings");
    assertRefused("bad_words", List.of("a", ""))
        .hasMessage("bad_words[1] is \"\"; it must be a string of 1 to 1024 characters");
    assertRefused("bad_words", List.of("a".repeat(1025)))
        .hasMessageContaining("bad_words[0] is \"a")
        .hasMessageContaining("it must be a string of 1 to 1024 characters");
    assertThat(SCHEMA.builder().set("bad_words", List.of("a".repeat(1024)))).isTrue();
    assertRefused("bad_words", Collections.nCopies(129, "a"))
        .hasMessage("bad_words has 129 entries; the limit is 128");
  }

  @Test
  void build_fieldsThatContradict_areRefused() {
    assertBuildRefused(Map.of("n", 2, "temperature", 0), "n")
        .hasMessage("n is 2; it must be 1 with temperature 0, where all choices would be the same");
    assertBuildRefused(Map.of("min_tokens", 6, "max_tokens", 5), "min_tokens")
        .hasMessage("min_tokens is 6; it must be at most max_tokens, which is 5");
    assertBuildRefused(Map.of("top_logprobs", 2), "top_logprobs")
        .hasMessage("top_logprobs is 2; it must be left out unless logprobs is true");
    assertBuildRefused(Map.of("top_logprobs", 2, "logprobs", false), "top_logprobs");
    assertBuildRefused(Map.of("top_logprobs", -1, "logprobs", true), "top_logprobs")
        .hasMessageContaining("--max-logprobs allows fewer");
    assertBuildRefused(Map.of("prompt_logprobs", -1), "prompt_logprobs");
    assertBuildRefused(Map.of("logprobs", -1), "logprobs")
        .hasMessage(
            "logprobs is -1; it must be at most 20: all are 1000 tokens, and --max-logprobs allows"
                + " fewer");
    assertBuildRefused(Map.of("top_logprobs", -1), "top_logprobs");
    assertBuildRefused(Map.of("logprob_token_ids", List.of(3)), "logprob_token_ids")
        .hasMessage("logprob_token_ids is [3]; it must be left out unless logprobs is there");
    assertBuildRefused(Map.of("allowed_token_ids", List.of()), "allowed_token_ids")
        .hasMessage("allowed_token_ids is []; it must be left out or name at least one token");
  }

  @Test
  void build_legacyLogprobs_isACount() {
    assertThat(built(Map.of("logprobs", 3)).logprobs()).isEqualTo(3);
    assertThat(built(Map.of("logprobs", 0)).logprobs()).isEqualTo(0);
    SamplingSchema all = new SamplingSchema(new SamplingSchema.Bounds(1000, -1, 8, 3), Map.of());
    SamplingSchema.Builder builder = all.builder();
    builder.set("logprobs", -1);
    assertThat(builder.build(1, 1).logprobs()).isEqualTo(1000);
    assertThat(built(Map.of("logprobs", true)).logprobs()).isEqualTo(0);
    assertThat(built(Map.of("logprobs", false)).logprobs()).isEqualTo(-1);
  }

  @Test
  void build_topKMinusOneAndSeedMinusOne_areOff() {
    assertThat(built(Map.of("top_k", -1)).topK()).isZero();
    assertThat(built(Map.of("seed", -1)).seed()).isEqualTo(99);
    assertThat(built(Map.of("seed", 0)).seed()).isEqualTo(0);
  }

  @Test
  void schema_generationConfig_presetsWhatTheRequestLeavesOpen() {
    Map<String, Object> config = new HashMap<>();
    config.put("temperature", 0.6);
    config.put("top_p", 0.9);
    config.put("top_k", 50);
    config.put("min_p", null);
    config.put("repetition_penalty", 1.1);
    config.put("max_new_tokens", 10);
    config.put("do_sample", true);
    config.put("presence_penalty", 2.0);
    SamplingSchema schema = new SamplingSchema(BOUNDS, config);
    SamplingParams params = schema.builder().build(1, 16);
    assertThat(params.temperature()).isEqualTo(0.6f);
    assertThat(params.topP()).isEqualTo(0.9f);
    assertThat(params.topK()).isEqualTo(50);
    assertThat(params.minP()).isZero();
    assertThat(params.repetitionPenalty()).isEqualTo(1.1f);
    assertThat(params.maxTokens()).isEqualTo(10);
    assertThat(params.presencePenalty()).isZero();
    SamplingSchema.Builder builder = schema.builder();
    builder.set("temperature", 0);
    builder.set("top_k", 0);
    assertThat(builder.build(1, 16).isGreedy()).isTrue();
    assertThat(builder.build(1, 16).topK()).isZero();
    assertThatThrownBy(() -> new SamplingSchema(BOUNDS, Map.of("top_p", 2)))
        .isInstanceOf(RejectedException.class)
        .hasMessage("generation_config.top_p is 2; it must be above 0 and at most 1");
  }

  @Test
  void set_anyJsonInAnyField_isTakenOrRefused() {
    Random random = TestSeed.random("any JSON");
    SamplingField[] fields = SamplingField.values();
    int built = 0;
    for (int round = 0; round < 50_000; round++) {
      SamplingSchema.Builder builder = SCHEMA.builder();
      String last = "";
      try {
        for (int i = random.nextInt(4); i >= 0; i--) {
          last = fields[random.nextInt(fields.length)].apiName();
          builder.set(last, json(random, 2));
        }
        last = "";
        assertSane(builder.build(5, 16));
        built++;
      } catch (RejectedException refused) {
        assertThat(refused.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT);
        assertThat(refused.text())
            .startsWith(String.valueOf(refused.parameter()))
            .hasSizeLessThan(300);
        assertThat(refused.parameter()).startsWith(last);
      }
    }
    assertThat(built).isGreaterThan(1000);
  }

  @Test
  void field_table_isDocumented() {
    for (SamplingField field : SamplingField.values()) {
      assertThat(field.help()).isNotBlank().doesNotEndWith(".");
      assertThat(field.range().text()).isNotBlank();
      assertThat(SamplingField.named(field.apiName())).contains(field);
    }
    assertThat(SamplingField.TOP_P.range().text()).isEqualTo("above 0 and at most 1");
    assertThat(SamplingField.MAX_TOKENS.range().text()).isEqualTo("at least 1");
    assertThat(SamplingField.named("stop")).isEmpty();
  }

  private static void assertSane(SamplingParams params) {
    assertThat(params.temperature()).isBetween(0f, 2f);
    assertThat(params.topP()).isBetween(0f, 1f);
    assertThat(params.minP()).isBetween(0f, 1f);
    assertThat(params.topK()).isNotNegative();
    assertThat(params.repetitionPenalty()).isPositive();
    assertThat(params.maxTokens()).isPositive();
    assertThat(params.stopTokenIds()).isSorted();
    assertThat(params.allowedTokenIds()).isSorted();
    assertThat(params.biasIds()).hasSameSizeAs(params.biasValues());
  }

  private static Object json(Random random, int depth) {
    int kinds = depth == 0 ? 11 : 14;
    return switch (random.nextInt(kinds)) {
      case 0 -> random.nextBoolean();
      case 1 -> random.nextInt(30);
      case 2 -> random.nextInt();
      case 3 -> random.nextLong();
      case 4 -> random.nextDouble() * 3;
      case 5 -> Double.longBitsToDouble(random.nextLong());
      case 6 -> new BigInteger(random.nextInt(2000), random);
      case 7 -> new BigDecimal(BigInteger.valueOf(random.nextLong()), random.nextInt());
      case 8 -> "a".repeat(random.nextInt(100));
      case 9 -> Integer.toString(random.nextInt(2000));
      case 10 -> Float.NaN;
      case 11 -> Map.of("" + random.nextInt(1100), json(random, depth - 1));
      case 12 -> Map.of();
      default -> {
        List<Object> list = new ArrayList<>();
        for (int i = random.nextInt(4); i > 0; i--) {
          list.add(json(random, depth - 1));
        }
        yield list;
      }
    };
  }

  private static SamplingParams built(Map<String, Object> fields) {
    SamplingSchema.Builder builder = SCHEMA.builder();
    fields.forEach(builder::set);
    return builder.build(99, 16);
  }

  private static AbstractThrowableAssert<?, ?> assertBuildRefused(
      Map<String, Object> fields, String parameter) {
    return assertThatThrownBy(() -> built(fields))
        .isInstanceOf(RejectedException.class)
        .hasFieldOrPropertyWithValue("parameter", parameter);
  }

  private static AbstractThrowableAssert<?, ?> assertRefused(String field, Object value) {
    return assertThatThrownBy(() -> SCHEMA.builder().set(field, value))
        .isInstanceOf(RejectedException.class)
        .hasFieldOrPropertyWithValue("code", ErrorCode.INVALID_ARGUMENT);
  }
}
