package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final int[] END = {2, 5};
  private static final float MASKED = Float.NEGATIVE_INFINITY;

  @Test
  void sample_randomInputs_equalsReference() {
    Random random = TestSeed.random("sample against reference");
    int close = 0;
    for (int round = 0; round < 6000; round++) {
      int vocab = 6 + random.nextInt(round % 10 == 0 ? 3000 : 60);
      float[] logits = RandomInputs.logits(random, vocab);
      int[] tokens = random.ints(1 + random.nextInt(30), 0, vocab).toArray();
      int promptTokens = 1 + random.nextInt(tokens.length);
      SamplingParams params = RandomInputs.params(random, vocab);
      ReferenceSampler reference = new ReferenceSampler(END);
      int expected = reference.sample(logits, tokens, promptTokens, params);
      if (reference.margin < 1e-9) {
        close++;
        continue;
      }
      Sampled sampled =
          new Sampler(vocab, END).sample(logits, 0, new TokenHistory(tokens, promptTokens), params);
      assertThat(sampled.token())
          .as("round %s: %s, logits %s", round, params, Arrays.toString(logits))
          .isEqualTo(expected);
    }
    assertThat(close).as("rounds that rounding may decide").isLessThan(600);
  }

  @Test
  void score_randomInputs_equalsReference() {
    Random random = TestSeed.random("score against reference");
    for (int round = 0; round < 1000; round++) {
      int vocab = 6 + random.nextInt(200);
      float[] logits = RandomInputs.logits(random, vocab);
      int token = random.nextInt(vocab);
      int top = random.nextInt(20);
      TokenLogprobs scored = new Sampler(vocab, END).score(logits, 0, token, top);
      int kept = Math.min(top, vocab);
      int[] ranks = ReferenceSampler.ranks(logits, token, kept);
      assertThat(scored.token()).isEqualTo(token);
      assertThat(scored.rank()).isEqualTo(ranks[1]);
      assertThat(scored.topIds()).isEqualTo(Arrays.copyOfRange(ranks, 2, 2 + kept));
      assertThat(scored.logprob())
          .isCloseTo((float) ReferenceSampler.logprob(logits, token), within(2e-6f));
      for (int i = 0; i < kept; i++) {
        assertThat(scored.topLogprobs()[i])
            .isEqualTo(new Sampler(vocab, END).score(logits, 0, ranks[2 + i], 0).logprob());
      }
    }
  }

  /**
   * 1000 tokens are not masked, so that top_k 1024 (short list) and 1025 (buckets) keep them all.
   */
  @Test
  void sample_shortListAndBuckets_agree() {
    Random random = TestSeed.random("short list and buckets");
    int vocab = 3000;
    Sampler sampler = new Sampler(vocab, END);
    for (int round = 0; round < 300; round++) {
      float[] logits = new float[vocab];
      Arrays.fill(logits, MASKED);
      for (int i = 0; i < 1000; i++) {
        float logit = (float) random.nextGaussian() * 3;
        logits[random.nextInt(vocab)] = round % 2 == 0 ? logit : Math.round(logit);
      }
      ParamsBuilder params = new ParamsBuilder();
      params.topP = 1 - random.nextFloat();
      params.minP = random.nextFloat() * 0.01f;
      params.seed = round;
      TokenHistory history = new TokenHistory(new int[] {1}, 1);
      params.topK = 1024;
      int byList = sampler.sample(logits, 0, history, params.build()).token();
      params.topK = 1025;
      assertThat(sampler.sample(logits, 0, history, params.build()).token()).isEqualTo(byList);
    }
  }

  @Test
  void sample_greedyTie_takesLowestId() {
    float[] logits = {1, 3, 3, 0, 3, 3};
    assertThat(token(logits, p -> p.temperature = 0)).isEqualTo(1);
    assertThat(token(logits, p -> p.temperature = 9e-6f)).isEqualTo(1);
  }

  @Test
  void sample_topKTie_keepsLowestIds() {
    float[] logits = {0, -0f, 0, 0, -0f, 0};
    assertThat(reachable(logits, p -> p.topK = 2)).containsExactly(0, 1);
    assertThat(reachable(logits, p -> p.topP = 0.34f)).containsExactly(0, 1, 2);
    assertThat(reachable(logits, p -> p.topP = 1e-30f)).containsExactly(0);
  }

  @Test
  void sample_topKThenTopP_takesTopPOfWhatTopKKeeps() {
    float[] logits = ofProbabilities(0.4f, 0.3f, 0.2f, 0.1f);
    assertThat(reachable(logits, p -> p.topP = 0.6f)).containsExactly(0, 1);
    assertThat(
            reachable(
                logits,
                p -> {
                  p.topK = 2;
                  p.topP = 0.55f; // 0.4 of 0.7 is 0.571
                }))
        .containsExactly(0);
  }

  @Test
  void sample_minP_isRelativeToTheLargestAfterTemperature() {
    float[] logits = ofProbabilities(0.5f, 0.3f, 0.15f, 0.05f);
    assertThat(reachable(logits, p -> p.minP = 0.29f)).containsExactly(0, 1, 2);
    assertThat(
            reachable(
                logits,
                p -> {
                  p.minP = 0.29f;
                  p.temperature = 0.5f; // 0.3 squared of its own
                }))
        .containsExactly(0, 1);
    assertThat(reachable(logits, p -> p.minP = 1)).containsExactly(0);
  }

  @Test
  void sample_tinyTemperature_isRaised() {
    float[] logits = {0, 0.02f};
    assertThat(reachable(logits, p -> p.temperature = 2e-5f)).containsExactly(0, 1);
  }

  @Test
  void sample_distribution_passesChiSquare() {
    for (float temperature : new float[] {0.5f, 1, 1.7f}) {
      Random random = new Random(3);
      float[] logits = new float[40];
      for (int id = 0; id < logits.length; id++) {
        logits[id] = (float) random.nextGaussian();
      }
      ParamsBuilder params = new ParamsBuilder();
      params.temperature = temperature;
      params.topP = temperature == 1 ? 0.8f : 1;
      assertThat(chiSquareExcess(logits, params)).as("temperature %s", temperature).isLessThan(4);
    }
  }

  @Test
  void sample_rowWithinBatch_isIndependentOfTheOthers() {
    Random random = TestSeed.random("batch independence");
    int vocab = 500;
    Sampler shared = new Sampler(vocab, END);
    float[] batch = new float[vocab * 20];
    for (int row = 0; row < 20; row++) {
      System.arraycopy(RandomInputs.logits(random, vocab), 0, batch, row * vocab, vocab);
    }
    float[] before = batch.clone();
    for (int row = 0; row < 20; row++) {
      int[] tokens = random.ints(9, 0, vocab).toArray();
      SamplingParams params = RandomInputs.params(random, vocab);
      float[] alone = Arrays.copyOfRange(batch, row * vocab, (row + 1) * vocab);
      Sampled together = shared.sample(batch, row * vocab, new TokenHistory(tokens, 4), params);
      Sampled single =
          new Sampler(vocab, END).sample(alone, 0, new TokenHistory(tokens, 4), params);
      assertThat(together).usingRecursiveComparison().isEqualTo(single);
    }
    assertThat(batch).isEqualTo(before);
  }

  @Test
  void sample_resumedHistory_goesOnWithTheSameTokens() {
    float[] logits = RandomInputs.logits(new Random(8), 300);
    Sampler sampler = new Sampler(300, END);
    ParamsBuilder params = new ParamsBuilder();
    params.temperature = 1.5f;
    params.seed = -77;
    params.frequency = 0.7f;
    params.repetition = 1.2f;
    TokenHistory whole = new TokenHistory(new int[] {1, 2, 3}, 3);
    TokenHistory moved = new TokenHistory(new int[] {1, 2, 3}, 3);
    for (int step = 0; step < 50; step++) {
      whole.append(sampler.sample(logits, 0, whole, params.build()).token());
      moved = new TokenHistory(moved.copy(), 3);
      moved.append(new Sampler(300, END).sample(logits, 0, moved, params.build()).token());
    }
    assertThat(moved.copy()).isEqualTo(whole.copy());
  }

  @Test
  void sample_brokenRow_namesTheCauseAndGoesOn() {
    Sampler sampler = new Sampler(4, END);
    TokenHistory history = new TokenHistory(new int[] {1}, 1);
    for (float temperature : new float[] {0, 1}) {
      ParamsBuilder builder = new ParamsBuilder();
      builder.temperature = temperature;
      SamplingParams params = builder.build();
      assertThatThrownBy(() -> sampler.sample(new float[] {1, 2, Float.NaN, 1}, 0, history, params))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("the model gave the logit NaN for token 2");
      assertThatThrownBy(
              () ->
                  sampler.sample(
                      new float[] {1, Float.POSITIVE_INFINITY, 0, 1}, 0, history, params))
          .hasMessage("the model gave the logit Infinity for token 1");
      assertThatThrownBy(
              () ->
                  sampler.sample(new float[] {MASKED, MASKED, MASKED, MASKED}, 0, history, params))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("the model gave the logit -Infinity for every token");
      float[] good = {MASKED, 7, MASKED, MASKED};
      assertThat(sampler.sample(good, 0, history, params).token()).isEqualTo(1);
    }
  }

  @Test
  void sample_requestLeavesNoToken_isTheRequestsFault() {
    float[] logits = {1, 2, 1, 1};
    for (float temperature : new float[] {0, 1}) {
      assertThatThrownBy(
              () ->
                  token(
                      logits,
                      p -> {
                        p.temperature = temperature;
                        p.allowed = new int[] {1};
                        p.badWords = new int[][] {{1}};
                      }))
          .isInstanceOf(RejectedException.class)
          .hasMessageContaining("allowed_token_ids")
          .extracting(refused -> ((RejectedException) refused).code())
          .isEqualTo(ErrorCode.INVALID_ARGUMENT);
      assertThatThrownBy(
              () ->
                  token(
                      logits,
                      p -> {
                        p.temperature = temperature;
                        p.repetition = Float.MIN_VALUE;
                      }))
          .isInstanceOf(RejectedException.class)
          .hasMessageContaining("Infinity");
    }
  }

  @Test
  void sample_nanUnderAMask_isStillRefused() {
    assertThatThrownBy(
            () -> token(new float[] {Float.NaN, 2, 1, 1}, p -> p.allowed = new int[] {1}))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("NaN for token 0");
  }

  @Test
  void sample_logprobs_ignorePenaltiesAndTemperature() {
    float[] logits = ofProbabilities(0.5f, 0.25f, 0.25f);
    ParamsBuilder params = new ParamsBuilder();
    params.temperature = 0;
    params.logprobs = 2;
    params.biasIds = new int[] {0};
    params.biasValues = new float[] {-100};
    Sampled sampled =
        new Sampler(3, END).sample(logits, 0, new TokenHistory(new int[0], 0), params.build());
    TokenLogprobs logprobs = Objects.requireNonNull(sampled.logprobs());
    assertThat(sampled.token()).isEqualTo(1);
    assertThat(logprobs.logprob()).isCloseTo((float) Math.log(0.25), within(1e-6f));
    assertThat(logprobs.rank()).isEqualTo(2);
    assertThat(logprobs.topIds()).containsExactly(0, 1);
    assertThat(logprobs.topLogprobs()[0]).isCloseTo((float) Math.log(0.5), within(1e-6f));
  }

  @Test
  void sampler_vocabularyTooLarge_isRefused() {
    assertThatThrownBy(() -> new Sampler(FixedExp.TERMS_MAX + 1, END))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("524289 tokens");
    assertThatThrownBy(() -> new Sampler(0, END)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void sample_equalLogitsOfALargeVocabulary_isUniform() {
    int vocab = 128_256;
    float[] logits = new float[vocab];
    ParamsBuilder params = new ParamsBuilder();
    params.topP = 0.5f;
    Sampler sampler = new Sampler(vocab, END);
    int inFirstQuarter = 0;
    for (params.seed = 0; params.seed < 200; params.seed++) {
      int token =
          sampler.sample(logits, 0, new TokenHistory(new int[] {1}, 1), params.build()).token();
      assertThat(token).isLessThan(vocab / 2);
      inFirstQuarter += token < vocab / 4 ? 1 : 0;
    }
    assertThat(inFirstQuarter).isBetween(70, 130);
  }

  /** Standard deviations by which the statistic exceeds its mean. */
  private static double chiSquareExcess(float[] logits, ParamsBuilder builder) {
    int draws = 40_000;
    int vocab = logits.length;
    Candidates candidates = new Candidates(vocab);
    float max = Float.NEGATIVE_INFINITY;
    for (float logit : logits) {
      max = Math.max(max, logit);
    }
    candidates.weigh(logits, 0, max, builder.build());
    int[] seen = new int[vocab];
    Sampler sampler = new Sampler(vocab, END);
    for (int i = 0; i < draws; i++) {
      builder.seed = i / 4;
      seen[
          sampler
              .sample(logits, 0, new TokenHistory(new int[i % 4], 0), builder.build())
              .token()]++;
    }
    double statistic = 0;
    int cells = 0;
    for (int id = 0; id < vocab; id++) {
      double expected = draws * ((double) candidates.weight(id) / candidates.total());
      if (expected == 0) {
        assertThat(seen[id]).isZero();
      } else if (expected > 5) {
        statistic += (seen[id] - expected) * (seen[id] - expected) / expected;
        cells++;
      }
    }
    return (statistic - (cells - 1)) / Math.sqrt(2.0 * (cells - 1));
  }

  private static int token(float[] logits, Consumer<ParamsBuilder> change) {
    ParamsBuilder params = new ParamsBuilder();
    change.accept(params);
    Sampler sampler = new Sampler(logits.length, END);
    return sampler.sample(logits, 0, new TokenHistory(new int[] {1}, 1), params.build()).token();
  }

  private static int[] reachable(float[] logits, Consumer<ParamsBuilder> change) {
    return new Random(1)
        .longs(400)
        .mapToInt(
            seed ->
                token(
                    logits,
                    params -> {
                      change.accept(params);
                      params.seed = seed;
                    }))
        .distinct()
        .sorted()
        .toArray();
  }

  private static float[] ofProbabilities(float... probabilities) {
    float[] logits = new float[probabilities.length];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) Math.log(probabilities[i]);
    }
    return logits;
  }
}
