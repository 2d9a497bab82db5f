package io.verdier.engine.sample;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.cuda.EmulatedKernels;
import io.verdier.engine.backend.cuda.EmulatedKernels.Dim;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Samples by the kernels of {@code sample.cu}, one step of some rows a call: packs parameters as
 * they expect them and reads results as a backend would. Owned by the test's thread.
 */
final class DeviceSampler {
  // As SampleField.
  private static final int TEMPERATURE = 0;
  private static final int TOP_P = 1;
  private static final int MIN_P = 2;
  private static final int TOP_K = 3;
  private static final int SEED_LOW = 4;
  private static final int SEED_HIGH = 5;
  private static final int POSITION = 6;
  private static final int GIVEN = 7;
  private static final int LOGPROBS = 8;
  private static final int NEXT_ROW = 9;
  private static final int COUNTS = 10;
  private static final int STAGED = 11;
  private static final int ALLOWED = 12;
  private static final int GRAMMAR = 13;
  private static final int EXCLUDED_START = 14;
  private static final int EXCLUDED_COUNT = 15;
  private static final int BIAS_START = 16;
  private static final int BIAS_COUNT = 17;
  private static final int REPETITION = 18;
  private static final int FREQUENCY = 19;
  private static final int PRESENCE = 20;
  private static final int FIELDS = 21;

  private static final int RESULT_INTS = 8;
  private static final int TOPS_MAX = 20;
  private static final int PARTIALS_BYTES = 32 * 40; // a row

  private final EmulatedKernels kernels;
  private final int vocab;
  private final int stride;
  private final int maskWords;
  private final int[] endTokenIds;

  /** How the work is divided, which no result may depend on. */
  record Division(int chunks, int chunkThreads, int rowThreads) {}

  /**
   * One row of a step.
   *
   * @param given token to score; -1: choose one
   * @param grammar the ids a grammar allows; null: no grammar
   */
  record Row(
      float[] logits,
      TokenHistory history,
      SamplingParams params,
      int given,
      int @Nullable [] grammar) {}

  DeviceSampler(EmulatedKernels kernels, int vocab, int[] endTokenIds) {
    this.kernels = kernels;
    this.vocab = vocab;
    this.stride = (vocab + 3) / 4 * 4 + 4;
    this.maskWords = (vocab + 31) / 32;
    this.endTokenIds = Arrays.stream(endTokenIds).filter(id -> id >= 0 && id < vocab).toArray();
  }

  /** What each row gives: a {@link TokenLogprobs}, with fewer fields if they are not asked for. */
  List<Object> sample(List<Row> rows, Division division) {
    try (Arena arena = Arena.ofConfined()) {
      return new Step(arena, rows, division).run();
    }
  }

  /** Device memory of one step. */
  private final class Step {
    private final Arena arena;
    private final List<Row> rows;
    private final Division division;
    private final int fieldStride;
    private final MemorySegment fields;
    private final MemorySegment logits;
    private final MemorySegment masks;
    private final MemorySegment counts;
    private final MemorySegment results;
    private final MemorySegment topIds;
    private final MemorySegment topLogits;
    private final MemorySegment nextTokens;
    private final List<Integer> lists = new ArrayList<>();
    private int maskCount;

    Step(Arena arena, List<Row> rows, Division division) {
      this.arena = arena;
      this.rows = rows;
      this.division = division;
      fieldStride = rows.size() + 3;
      fields = ints(FIELDS * fieldStride);
      logits = rowsOfFloats();
      masks = ints(2 * rows.size() * maskWords);
      counts = ints(rows.size() * vocab);
      results = ints(rows.size() * RESULT_INTS);
      topIds = ints(rows.size() * TOPS_MAX);
      topLogits = ints(rows.size() * TOPS_MAX);
      nextTokens = ints(rows.size());
    }

    List<Object> run() {
      for (int row = 0; row < rows.size(); row++) {
        MemorySegment.copy(rows.get(row).logits, 0, logits, JAVA_FLOAT, 4L * row * stride, vocab);
        describe(row, rows.get(row));
      }
      launch();
      List<Object> read = new ArrayList<>();
      for (int row = 0; row < rows.size(); row++) {
        Object result = result(row);
        read.add(result);
        if (rows.get(row).given < 0) {
          checkTraces(row, result instanceof TokenLogprobs scores ? scores.token() : -1);
        }
      }
      return read;
    }

    private void launch() {
      MemorySegment realRows = arena.allocateFrom(JAVA_INT, 0, 0, 0, rows.size());
      MemorySegment listed = arena.allocateFrom(JAVA_INT, array(lists));
      MemorySegment staged = rowsOfFloats();
      MemorySegment partials = arena.allocate((long) rows.size() * PARTIALS_BYTES, 16);
      List<Object> common = List.of(realRows, fields, fieldStride, logits, stride, vocab);
      int gridRows = rows.size() + 1; // a captured graph launches spare rows too
      Dim chunks = Dim.of(division.chunks, gridRows);
      Dim block = Dim.of(division.chunkThreads);
      launch(
          "sample_extremes",
          chunks,
          block,
          common,
          masks,
          maskWords,
          listed,
          counts,
          staged,
          partials);
      launch("sample_weigh", chunks, block, common, staged, partials);
      launch(
          "sample_draw",
          Dim.of(gridRows),
          Dim.of(division.rowThreads),
          common,
          staged,
          partials,
          division.chunks,
          counts,
          results,
          topIds,
          topLogits,
          nextTokens);
    }

    private void launch(String kernel, Dim grid, Dim block, List<Object> common, Object... own) {
      Object[] parameters = Stream.concat(common.stream(), Arrays.stream(own)).toArray();
      kernels.launch(kernel, grid, block, 0, parameters);
    }

    /** What a chosen token leaves on the device, for the next step; -1: none was chosen. */
    private void checkTraces(int row, int token) {
      int fed = nextTokens.getAtIndex(JAVA_INT, rows.size() - 1 - row);
      assertThat(fed).as("token that row %s feeds", row).isEqualTo(Math.max(token, 0));
      if (LogitStages.hasPenalties(rows.get(row).params)) {
        TokenHistory known = rows.get(row).history;
        TokenHistory after = new TokenHistory(known.copy(), known.promptTokens());
        if (token >= 0) {
          after.append(token);
        }
        int[] expected = new int[vocab];
        for (int i = 0; i < after.counts().size(); i++) {
          expected[after.counts().token(i)] = after.counts().generated(i) * 2 + 1;
        }
        assertThat(counts.asSlice(4L * row * vocab, 4L * vocab).toArray(JAVA_INT))
            .as("counts of row %s", row)
            .isEqualTo(expected);
      }
    }

    private Object result(int row) {
      int[] result = new int[RESULT_INTS];
      MemorySegment.copy(results, JAVA_INT, 4L * row * RESULT_INTS, result, 0, RESULT_INTS);
      float logit = Float.intBitsToFloat(result[2]);
      return switch (result[0]) {
        case 1 -> RowFault.brokenLogit(result[1], logit);
        case 2 -> RowFault.brokenRow();
        case 3 -> RowFault.noTokenLeft();
        case 4 -> RowFault.refusedLogit(logit);
        default -> scores(row, result, logit);
      };
    }

    private TokenLogprobs scores(int row, int[] result, float logit) {
      if (rows.get(row).params.logprobs() < 0) {
        return new TokenLogprobs(result[1], 0, 0, new int[0], new float[0]);
      }
      long sum = Integer.toUnsignedLong(result[6]) | (long) result[7] << 32;
      LogSum logSum = LogSum.of(Float.intBitsToFloat(result[5]), sum);
      assertThat(sum).as("weights of row %s", row).isEqualTo(weights(rows.get(row).logits));
      int[] ids = new int[result[4]];
      float[] logprobs = new float[result[4]];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = topIds.getAtIndex(JAVA_INT, (long) row * TOPS_MAX + i);
        logprobs[i] = logSum.logprob(topLogits.getAtIndex(JAVA_FLOAT, (long) row * TOPS_MAX + i));
      }
      return new TokenLogprobs(result[1], logSum.logprob(logit), result[3], ids, logprobs);
    }

    /** Apart from what a log probability still shows of it, which is a float. */
    private long weights(float[] raw) {
      float max = Float.NEGATIVE_INFINITY;
      for (float logit : raw) {
        max = Math.max(max, logit);
      }
      long sum = 0;
      for (float logit : raw) {
        sum += FixedExp.weight(((double) logit - max) * FixedExp.scale(1));
      }
      return sum;
    }

    private void describe(int row, Row it) {
      SamplingParams params = it.params;
      set(TEMPERATURE, row, params.temperature());
      set(TOP_P, row, params.topP());
      set(MIN_P, row, params.minP());
      set(TOP_K, row, params.topK());
      set(SEED_LOW, row, (int) params.seed());
      set(SEED_HIGH, row, (int) (params.seed() >>> 32));
      set(POSITION, row, it.history.size());
      set(GIVEN, row, it.given);
      set(LOGPROBS, row, params.logprobs());
      set(NEXT_ROW, row, rows.size() - 1 - row);
      boolean isIdle = LogitStages.areIdle(it.history, params) && it.grammar == null;
      set(STAGED, row, isIdle ? -1 : rows.size() - 1 - row);
      int[] allowed = params.allowedTokenIds();
      set(ALLOWED, row, allowed.length == 0 ? -1 : mask(allowed));
      set(GRAMMAR, row, it.grammar == null ? -1 : mask(it.grammar));
      set(EXCLUDED_START, row, lists.size());
      LogitStages.excluded(endTokenIds, it.history, params, null, lists::add);
      set(EXCLUDED_COUNT, row, lists.size() - fields.getAtIndex(JAVA_INT, at(EXCLUDED_START, row)));
      set(BIAS_START, row, lists.size());
      set(BIAS_COUNT, row, params.biasIds().length);
      Arrays.stream(params.biasIds()).forEach(lists::add);
      for (float value : params.biasValues()) {
        lists.add(Float.floatToRawIntBits(value));
      }
      set(REPETITION, row, params.repetitionPenalty());
      set(FREQUENCY, row, params.frequencyPenalty());
      set(PRESENCE, row, params.presencePenalty());
      set(COUNTS, row, LogitStages.hasPenalties(params) ? row : -1);
      if (LogitStages.hasPenalties(params)) {
        count(row, it.history);
      }
    }

    private void count(int row, TokenHistory history) {
      int[] tokens = history.copy();
      if (tokens.length > 0) {
        kernels.launch(
            "count_tokens",
            Dim.of(2),
            Dim.of(64),
            0,
            counts.asSlice(4L * row * vocab),
            arena.allocateFrom(JAVA_INT, tokens),
            history.promptTokens(),
            tokens.length);
      }
    }

    private int mask(int[] ids) {
      for (int id : ids) {
        long word = (long) maskCount * maskWords + id / 32;
        masks.setAtIndex(JAVA_INT, word, masks.getAtIndex(JAVA_INT, word) | 1 << id);
      }
      return maskCount++;
    }

    private void set(int field, int row, int value) {
      fields.setAtIndex(JAVA_INT, at(field, row), value);
    }

    private void set(int field, int row, float value) {
      set(field, row, Float.floatToRawIntBits(value));
    }

    private int at(int field, int row) {
      return field * fieldStride + row;
    }

    private MemorySegment ints(int count) {
      return arena.allocate(4L * count, 256);
    }

    /** Rows of NaN, so that what is read beyond the vocabulary shows. */
    private MemorySegment rowsOfFloats() {
      MemorySegment all = ints(rows.size() * stride);
      for (long i = 0; i < (long) rows.size() * stride; i++) {
        all.setAtIndex(JAVA_FLOAT, i, Float.NaN);
      }
      return all;
    }
  }

  private static int[] array(List<Integer> values) {
    return values.stream().mapToInt(Integer::intValue).toArray();
  }
}
