package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.sample.ParamsBuilder;
import io.verdier.engine.sample.RandomInputs;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.Sampler;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TestSeed;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.sample.TokenMask;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What a chunk of rows gives, by whichever way, is what {@link Sampler} gives, to the bit. */
class CudaSamplerTest {
  private static final int[] END = {2, 5, 1 << 20};
  private static final int ROWS_MAX = 32;

  /** A row of a chunk; without a history a token is scored. */
  private record Row(
      float[] logits,
      @Nullable TokenHistory history,
      SamplingParams params,
      int given,
      int tops,
      @Nullable TokenMask mask) {
    Row(
        float[] logits,
        @Nullable TokenHistory history,
        SamplingParams params,
        int given,
        int tops) {
      this(logits, history, params, given, tops, null);
    }
  }

  /** What a constraint allows at some place. */
  private record Mask(long[] tokens, boolean mayEnd) implements TokenMask {
    @Override
    public boolean mustEnd() {
      return Arrays.stream(tokens).allMatch(word -> word == 0);
    }
  }

  @Test
  void sampled_sequencesOverSteps_equalsHost() {
    Random random = TestSeed.random("CUDA sampler over steps");
    try (Fixture fixture = new Fixture(1531)) {
      List<TokenHistory> histories = new ArrayList<>();
      List<SamplingParams> params = new ArrayList<>();
      for (int step = 0; step < 12; step++) {
        while (histories.size() < 10) {
          histories.add(history(random, fixture.vocab));
          params.add(params(random, fixture.vocab));
        }
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < histories.size(); i++) {
          rows.add(choose(random, fixture.vocab, histories.get(i), params.get(i)));
        }
        rows.add(score(random, fixture.vocab));
        int again = random.nextInt(histories.size());
        rows.add(choose(random, fixture.vocab, histories.get(again), params.get(again)));
        fixture.check(rows);
        for (int i = histories.size() - 1; i >= 0; i--) {
          if (random.nextInt(8) == 0) {
            fixture.sampler.forget(histories.remove(i));
            params.remove(i);
          } else if (random.nextInt(8) > 0) { // else the same position once more
            histories.get(i).append(random.nextInt(3) > 0 ? fixture.tokens[i] : 7);
          }
        }
      }
    }
  }

  /** Masks of every density, shared by rows or not, under parameters of every kind. */
  @Test
  void sampled_masks_equalsHost() {
    Random random = TestSeed.random("CUDA sampler, masks");
    for (int vocab : new int[] {300, 1531, 1536}) {
      try (Fixture fixture = new Fixture(vocab)) {
        for (int step = 0; step < 12; step++) {
          List<Row> rows = new ArrayList<>();
          Mask shared = mask(random, vocab);
          while (rows.size() < ROWS_MAX) {
            Mask mask =
                switch (random.nextInt(4)) {
                  case 0 -> shared;
                  case 1 -> new Mask(shared.tokens, !shared.mayEnd);
                  default -> mask(random, vocab);
                };
            rows.add(
                new Row(
                    RandomInputs.logits(random, vocab),
                    history(random, vocab),
                    params(random, vocab),
                    0,
                    0,
                    random.nextInt(5) == 0 ? null : mask));
          }
          fixture.check(rows);
        }
      }
    }
  }

  private static Mask mask(Random random, int vocab) {
    long[] tokens = new long[(vocab + 63) / 64 - random.nextInt(2)];
    int count = random.nextInt(4) == 0 ? random.nextInt(3) : random.nextInt(vocab);
    for (int i = 0; i < count; i++) {
      int id = random.nextInt(64 * tokens.length);
      if (id < vocab && id != END[0] && id != END[1]) {
        tokens[id >> 6] |= 1L << id;
      }
    }
    return new Mask(tokens, random.nextBoolean());
  }

  @Test
  void sampled_idsOutsideTheVocabulary_failsAsOnTheHost() {
    Random random = TestSeed.random("CUDA sampler, foreign ids");
    try (Fixture fixture = new Fixture(300)) {
      List<Row> rows = new ArrayList<>();
      for (int kind = 0; kind < 5; kind++) {
        ParamsBuilder params = new ParamsBuilder();
        switch (kind) {
          case 0 -> params.allowed = new int[] {3, 300};
          case 1 -> {
            params.biasIds = new int[] {300};
            params.biasValues = new float[] {1};
          }
          case 2 -> params.badWords = new int[][] {{-1}};
          case 3 -> {
            params.minTokens = 3;
            params.stopIds = new int[] {4000};
          }
          default -> params.presence = 1;
        }
        int token = kind == 4 ? 300 : 1;
        TokenHistory history = new TokenHistory(new int[] {0, token}, 2);
        rows.add(choose(random, 300, history, params.build()));
        rows.add(score(random, 300));
      }
      fixture.check(rows);
    }
  }

  @Test
  void sampled_brokenRows_failAlone() {
    Random random = TestSeed.random("CUDA sampler, broken rows");
    try (Fixture fixture = new Fixture(700)) {
      List<Row> rows = new ArrayList<>();
      float[] fault = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
      for (float value : fault) {
        float[] logits = new float[700];
        Arrays.fill(logits, 600, 700, value);
        if (value < 0) {
          Arrays.fill(logits, value);
        }
        ParamsBuilder plain = new ParamsBuilder();
        ParamsBuilder penalised = new ParamsBuilder();
        penalised.presence = 1;
        ParamsBuilder onHost = new ParamsBuilder();
        onHost.logprobs = 21;
        for (ParamsBuilder params : List.of(plain, penalised, onHost)) {
          rows.add(new Row(logits, history(random, 700), params.build(), 0, 0));
          rows.add(choose(random, 700, history(random, 700), params.build()));
        }
        rows.add(new Row(logits, null, plain.build(), 4, 2));
      }
      ParamsBuilder refused = new ParamsBuilder();
      refused.allowed = new int[] {9};
      refused.badWords = new int[][] {{9}};
      rows.add(choose(random, 700, history(random, 700), refused.build()));
      fixture.check(rows);
    }
  }

  @Test
  void tables_allTaken_leaveTheRowToTheHost() {
    try (Fixture fixture = new Fixture(300)) {
      CudaDriver driver = fixture.backend.driver();
      TokenTables tables = new TokenTables(driver, new Launch(fixture.arena), 300, 3 * 4 * 300);
      SampleInputs inputs = new SampleInputs(driver, 8);
      inputs.begin(1);
      List<TokenHistory> histories = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        histories.add(new TokenHistory(new int[] {1, 2}, 1));
        assertThat(tables.take(histories.get(i), 1, inputs) != null).isEqualTo(i < 3);
      }
      tables.forget(histories.get(1));
      assertThat(tables.take(histories.get(3), 2, inputs)).isNotNull();
      assertThat(tables.take(histories.get(3), 2, inputs)).as("twice in a chunk").isNull();
    }
  }

  @Test
  void begin_againstItsRules_throws() {
    try (Fixture fixture = new Fixture(300)) {
      CudaSampler sampler = fixture.sampler;
      assertThat(sampler.rowsMax()).isEqualTo(ROWS_MAX);
      assertThatThrownBy(() -> sampler.begin(33)).hasMessageContaining("at most 32");
      CudaSampler.RowChunk chunk = sampler.begin(1);
      assertThatThrownBy(() -> chunk.sampled(0)).hasMessageContaining("no answer");
      chunk.score(1, 0);
      assertThatThrownBy(() -> chunk.score(1, 0)).hasMessageContaining("more requests");
      assertThatThrownBy(() -> chunk.answer(fixture.backend.tensor(1, 299)))
          .hasMessageContaining("1 × 299 logits");
    }
  }

  private static TokenHistory history(Random random, int vocab) {
    int[] tokens = random.ints(1 + random.nextInt(60), 0, vocab).toArray();
    return new TokenHistory(tokens, 1 + random.nextInt(tokens.length));
  }

  private static SamplingParams params(Random random, int vocab) {
    if (random.nextInt(8) > 0) {
      return RandomInputs.params(random, vocab);
    }
    ParamsBuilder params = new ParamsBuilder();
    params.logprobs = 21 + random.nextInt(9);
    params.presence = random.nextInt(2);
    return params.build();
  }

  private static Row choose(Random random, int vocab, TokenHistory history, SamplingParams params) {
    return new Row(RandomInputs.logits(random, vocab), history, params, 0, 0);
  }

  private static Row score(Random random, int vocab) {
    return new Row(
        RandomInputs.logits(random, vocab),
        null,
        SamplingParams.greedy(1),
        random.nextInt(vocab),
        random.nextInt(25));
  }

  /** A sampler and its oracle. */
  private static final class Fixture implements AutoCloseable {
    private final Arena arena = Arena.ofConfined();
    private final CudaBackend backend = TestCuda.backend(CudaBackend.Options.defaults());
    private final int vocab;
    private final CudaSampler sampler;
    private final Sampler host;
    private int[] tokens = {}; // of the last check; 0 where there was none

    Fixture(int vocab) {
      this.vocab = vocab;
      sampler = (CudaSampler) backend.sampler(vocab, END, ROWS_MAX).orElseThrow();
      host = new Sampler(vocab, END);
    }

    void check(List<Row> rows) {
      CudaSampler.RowChunk chunk = sampler.begin(rows.size());
      for (Row row : rows) {
        if (row.history == null) {
          chunk.score(row.given, row.tops);
        } else {
          chunk.choose(row.history, row.params, row.mask);
        }
      }
      chunk.answer(upload(rows));
      tokens = new int[rows.size()];
      for (int i = 0; i < rows.size(); i++) {
        Row row = rows.get(i);
        int index = i;
        String actual;
        String expected;
        if (row.history == null) {
          actual = outcome(() -> text(chunk.scored(index)));
          expected = outcome(() -> text(host.score(row.logits, 0, row.given, row.tops)));
        } else {
          TokenHistory history = row.history;
          actual = outcome(() -> chosen(index, chunk.sampled(index)));
          expected =
              outcome(
                  () -> chosen(index, host.sample(row.logits, 0, history, row.params, row.mask)));
        }
        assertThat(actual).as("row %s: %s", i, row.params).isEqualTo(expected);
      }
    }

    private CudaTensor upload(List<Row> rows) {
      CudaTensor logits = backend.tensor(rows.size(), vocab);
      MemorySegment buffer = arena.allocate((long) vocab * Float.BYTES, 64);
      for (int i = 0; i < rows.size(); i++) {
        MemorySegment.copy(rows.get(i).logits, 0, buffer, ValueLayout.JAVA_FLOAT, 0, vocab);
        long at = logits.address() + (long) i * logits.stride() * Float.BYTES;
        backend.driver().copyIn(at, buffer, buffer.byteSize());
        backend.driver().synchronize();
      }
      return logits;
    }

    private String chosen(int index, Sampled sampled) {
      tokens[index] = sampled.token();
      TokenLogprobs logprobs = sampled.logprobs();
      return sampled.token() + " " + (logprobs == null ? "" : text(logprobs));
    }

    @Override
    public void close() {
      backend.close();
      arena.close();
    }
  }

  private static String outcome(Supplier<String> result) {
    try {
      return result.get();
    } catch (RuntimeException fault) {
      return fault.toString();
    }
  }

  private static String text(TokenLogprobs scores) {
    StringBuilder text = new StringBuilder();
    text.append(scores.token()).append(" rank ").append(scores.rank());
    text.append(' ').append(Float.floatToRawIntBits(scores.logprob()));
    for (int i = 0; i < scores.topIds().length; i++) {
      text.append(' ').append(scores.topIds()[i]);
      text.append(':').append(Float.floatToRawIntBits(scores.topLogprobs()[i]));
    }
    return text.toString();
  }
}
