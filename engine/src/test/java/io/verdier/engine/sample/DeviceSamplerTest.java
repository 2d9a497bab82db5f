package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import io.verdier.engine.backend.cuda.EmulatedKernels;
import io.verdier.engine.sample.DeviceSampler.Division;
import io.verdier.engine.sample.DeviceSampler.Row;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The device's sampler gives what {@link Sampler} gives, to the bit. */
class DeviceSamplerTest {
  private static final int[] END = {2, 5};
  private static final float MASKED = Float.NEGATIVE_INFINITY;
  private static final Division USUAL = new Division(8, 512, 1024);

  private static EmulatedKernels kernels;

  @BeforeAll
  static void compile() {
    kernels = EmulatedKernels.load().orElseGet(() -> abort("no g++: the kernels stay untested"));
  }

  @Test
  void sample_randomRows_equalsHost() {
    Random random = TestSeed.random("device sampler against host");
    for (int round = 0; round < 60; round++) {
      int vocab = round % 4 == 0 ? 8 + random.nextInt(300) : 4096 - random.nextInt(3);
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        rows.add(randomRow(random, vocab));
      }
      int threads = 128 << random.nextInt(4);
      Division division = new Division(1 + random.nextInt(32), 512, threads);
      check(vocab, rows, round % 3 == 0 ? division : USUAL);
    }
  }

  @Test
  void sample_tokensOfTheLargestVocabularies_equalsHost() {
    Random random = TestSeed.random("device sampler, large vocabulary");
    int vocab = 128_256;
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      rows.add(randomRow(random, vocab));
    }
    check(vocab, rows, USUAL);
    check(vocab, rows.subList(0, 4), new Division(3, 512, 1024));
  }

  /** Every cut against every shape of row: no ties, only ties, coarse, steep, mostly masked. */
  @Test
  void sample_cutsThroughAllShapes_equalsHost() {
    Random random = TestSeed.random("device sampler, cuts");
    int vocab = 4096;
    int[] topKs = {0, 1, 2, 50, 1024, 1025, 3000, 4095, 4096, 5000};
    float[] topPs = {0.001f, 0.3f, 0.9f, 0.999f, 0.99999994f, 1};
    for (BiConsumer<Random, float[]> shape : shapes()) {
      List<Row> rows = new ArrayList<>();
      for (int topK : topKs) {
        for (float topP : topPs) {
          ParamsBuilder params = new ParamsBuilder();
          params.topK = topK;
          params.topP = topP;
          params.minP = new float[] {0, 0, 0, random.nextFloat() / 50, 1}[random.nextInt(5)];
          params.temperature = new float[] {1, 1, 0.7f, 1e-5f, 0.02f, 2}[random.nextInt(6)];
          params.seed = random.nextLong();
          params.logprobs = random.nextInt(3) == 0 ? random.nextInt(21) : -1;
          rows.add(row(shape, random, vocab, params));
        }
      }
      check(vocab, rows, USUAL);
    }
  }

  /** More equal tokens than a list holds: narrowed down by id, twice where both cuts meet. */
  @Test
  void sample_equalLogitsOfALargeVocabulary_equalsHost() {
    Random random = TestSeed.random("device sampler, equal logits");
    int vocab = 128_256;
    List<Row> rows = new ArrayList<>();
    for (int topK : new int[] {0, 700, 50_000, 128_255}) {
      for (float topP : new float[] {0.37f, 1}) {
        ParamsBuilder params = new ParamsBuilder();
        params.topK = topK;
        params.topP = topP;
        params.seed = random.nextLong();
        params.logprobs = 20;
        rows.add(row((seeded, logits) -> Arrays.fill(logits, -3.5f), random, vocab, params));
      }
    }
    check(vocab, rows, USUAL);
  }

  /** Enough tokens in each of the 64 classes of the largest weights for one wrong bit to show. */
  @Test
  void sample_narrowRowOfALargeVocabulary_sumsEveryWeight() {
    Random random = TestSeed.random("device weights");
    ParamsBuilder params = new ParamsBuilder();
    params.logprobs = 0;
    Row row =
        row((draws, logits) -> fill(logits, () -> -draws.nextFloat()), random, 128_256, params);
    check(128_256, List.of(row), USUAL);
  }

  @Test
  void sample_givenToken_isScored() {
    Random random = TestSeed.random("device scores");
    int vocab = 1000;
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      ParamsBuilder params = new ParamsBuilder();
      params.logprobs = i % 21;
      params.biasIds = new int[] {7};
      params.biasValues = new float[] {50};
      float[] logits = RandomInputs.logits(random, vocab);
      rows.add(new Row(logits, history(1), params.build(), random.nextInt(vocab), null));
    }
    check(vocab, rows, USUAL);
  }

  @Test
  void sample_fewerFiniteLogitsThanTopTokens_reportsMaskedOnesToo() {
    Random random = TestSeed.random("device top tokens");
    List<Row> rows = new ArrayList<>();
    for (int finite : new int[] {1, 2, 19, 20, 21}) {
      float[] logits = new float[20_000];
      Arrays.fill(logits, MASKED);
      random.ints(0, 20_000).distinct().limit(finite).forEach(id -> logits[id] = id % 3);
      ParamsBuilder params = new ParamsBuilder();
      params.logprobs = 20;
      rows.add(new Row(logits, history(1), params.build(), -1, null));
    }
    check(20_000, rows, USUAL);
    check(20_000, rows, new Division(1, 512, 128));
  }

  @Test
  void sample_brokenRows_nameTheSameFaults() {
    int vocab = 3000;
    List<Row> rows = new ArrayList<>();
    float[] broken = {Float.NaN, Float.POSITIVE_INFINITY};
    for (float temperature : new float[] {0, 1}) {
      ParamsBuilder params = new ParamsBuilder();
      params.temperature = temperature;
      params.logprobs = 1;
      for (int i = 0; i < 4; i++) {
        float[] logits = new float[vocab];
        logits[2999 - i] = broken[i % 2];
        logits[2000 + i] = broken[i / 2];
        rows.add(new Row(logits, history(1), params.build(), i == 3 ? 5 : -1, null));
      }
      float[] masked = new float[vocab];
      Arrays.fill(masked, MASKED);
      rows.add(new Row(masked, history(1), params.build(), -1, null));
      params.allowed = new int[] {1};
      params.badWords = new int[][] {{1}};
      rows.add(new Row(new float[vocab], history(1), params.build(), -1, null));
      rows.add(new Row(masked, history(1), params.build(), -1, null));
      params.badWords = new int[0][];
      params.repetition = Float.MIN_VALUE;
      float[] ones = new float[vocab];
      Arrays.fill(ones, 1);
      rows.add(new Row(ones, history(1), params.build(), -1, null));
      rows.add(new Row(ones, history(1), params.build(), 9, null)); // is scored all the same
    }
    check(vocab, rows, USUAL);
  }

  @Test
  void sample_grammarMask_isAnotherListOfAllowedIds() {
    Random random = TestSeed.random("device grammar");
    int vocab = 2000;
    Sampler host = new Sampler(vocab, END);
    for (int i = 0; i < 20; i++) {
      ParamsBuilder params = new ParamsBuilder();
      params.seed = i;
      params.allowed = i % 2 == 0 ? new int[0] : ids(random, vocab);
      int[] grammar = ids(random, vocab);
      float[] logits = RandomInputs.logits(random, vocab);
      Row row = new Row(logits, history(1), params.build(), -1, grammar);
      Object chosen = new DeviceSampler(kernels, vocab, END).sample(List.of(row), USUAL).get(0);
      params.allowed =
          Arrays.stream(grammar)
              .filter(id -> params.allowed.length == 0 || contains(params.allowed, id))
              .toArray();
      Sampled expected = host.sample(logits, 0, history(1), params.build());
      assertThat(((TokenLogprobs) chosen).token()).isEqualTo(expected.token());
    }
  }

  private static Row randomRow(Random random, int vocab) {
    int[] tokens = random.ints(1 + random.nextInt(60), 0, vocab).toArray();
    SamplingParams params = RandomInputs.params(random, vocab);
    int promptTokens = 1 + random.nextInt(tokens.length);
    TokenHistory history = new TokenHistory(tokens, promptTokens);
    boolean isScored = params.logprobs() >= 0 && random.nextInt(6) == 0;
    int given = isScored ? random.nextInt(vocab) : -1;
    return new Row(RandomInputs.logits(random, vocab), history, params, given, null);
  }

  private static Row row(
      BiConsumer<Random, float[]> shape, Random random, int vocab, ParamsBuilder params) {
    float[] logits = new float[vocab];
    shape.accept(random, logits);
    return new Row(logits, history(1 + random.nextInt(9)), params.build(), -1, null);
  }

  private static List<BiConsumer<Random, float[]>> shapes() {
    return List.of(
        (random, logits) -> fill(logits, () -> random.nextGaussian() * 3),
        (random, logits) -> fill(logits, () -> random.nextGaussian() / 100),
        (random, logits) -> fill(logits, () -> 0),
        (random, logits) -> fill(logits, () -> random.nextInt(3) == 0 ? 0.0 : -0.0),
        (random, logits) -> fill(logits, () -> random.nextInt(4) * 10),
        (random, logits) -> fill(logits, () -> Math.round(random.nextGaussian() * 4) / 4.0),
        (random, logits) -> fill(logits, () -> random.nextGaussian() * 1e4),
        (random, logits) -> fill(logits, () -> random.nextGaussian() * 1e38),
        (random, logits) ->
            fill(logits, () -> random.nextInt(300) == 0 ? 9 : Double.NEGATIVE_INFINITY),
        (random, logits) -> {
          Arrays.fill(logits, MASKED);
          logits[random.nextInt(logits.length)] = -1e30f;
        });
  }

  private interface Draws {
    double next();
  }

  private static void fill(float[] logits, Draws draws) {
    for (int id = 0; id < logits.length; id++) {
      logits[id] = (float) draws.next();
    }
    logits[logits.length / 2] = Math.max(logits[logits.length / 2], -5);
  }

  private static TokenHistory history(int size) {
    return new TokenHistory(IntStream.range(0, size).toArray(), size);
  }

  private static int[] ids(Random random, int vocab) {
    return IntStream.concat(IntStream.of(0, 3), random.ints(vocab / 2, 4, vocab))
        .distinct()
        .sorted()
        .toArray();
  }

  private static boolean contains(int[] sorted, int id) {
    return Arrays.binarySearch(sorted, id) >= 0;
  }

  private static void check(int vocab, List<Row> rows, Division division) {
    List<Object> chosen = new DeviceSampler(kernels, vocab, END).sample(rows, division);
    Sampler host = new Sampler(vocab, END);
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      assertThat(text(chosen.get(i)))
          .as("row %s of %s, vocabulary %s, %s: %s", i, rows.size(), vocab, division, row.params())
          .isEqualTo(text(expected(host, row)));
    }
  }

  private static Object expected(Sampler host, Row row) {
    try {
      if (row.given() >= 0) {
        return host.score(row.logits(), 0, row.given(), row.params().logprobs());
      }
      Sampled sampled = host.sample(row.logits(), 0, row.history(), row.params());
      return sampled.logprobs() != null
          ? sampled.logprobs()
          : new TokenLogprobs(sampled.token(), 0, 0, new int[0], new float[0]);
    } catch (RuntimeException fault) {
      return fault;
    }
  }

  private static String text(Object result) {
    if (!(result instanceof TokenLogprobs scores)) {
      return result.toString();
    }
    return "token %s, %08x, rank %s, %s %s"
        .formatted(
            scores.token(),
            Float.floatToRawIntBits(scores.logprob()),
            scores.rank(),
            Arrays.toString(scores.topIds()),
            IntStream.range(0, scores.topLogprobs().length)
                .mapToObj(i -> "%08x".formatted(Float.floatToRawIntBits(scores.topLogprobs()[i])))
                .toList());
  }
}
