package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.sample.LogitStages;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.Sampler;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.sample.TokenMask;
import java.util.Arrays;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Chooses tokens by the kernels of {@code sample.cu}. Owned by the executor thread.
 *
 * <p>A chunk of rows is one small copy in (parameters, lists, masks), the multiplication, three
 * kernels and one small copy back, whatever the rows ask for; nothing is allocated for a row but
 * its result. All of it is queued; only whoever reads a result waits.
 *
 * <p>What the kernels do not take goes the long way: the row's logits come to the host, where
 * {@link Sampler} is asked. That is a row
 *
 * <ul>
 *   <li>with more log probabilities than the kernels list ({@code --max-logprobs} is 20 at first);
 *   <li>with penalties, when all tables are taken, or of a sequence that has another row with
 *       penalties in the chunk;
 *   <li>that names an id outside the vocabulary: the sampler fails as it always did, and no kernel
 *       has to look.
 * </ul>
 *
 * Both ways give the same bits, so that a sequence may change between them from one token to the
 * next.
 */
final class CudaSampler implements DeviceSampler {
  /** Room for logits; staged rows may take as much again. 500 rows of 128,256 tokens. */
  private static final long LOGITS_BYTES_MAX = 256L << 20;

  /** Room for the counts of sequences with penalties. */
  private static final long TABLES_BYTES_MAX = 256L << 20;

  private static final int[] NO_IDS = {};

  private final CudaBackend backend;
  private final int vocabSize;
  private final int[] endTokenIds;
  private final int rowsMax;
  private final int topsMax;
  private final SampleInputs inputs;
  private final TokenTables tables;
  private final SampleKernels kernels;
  private final Sampler host; // for what the kernels do not take
  private final float[] hostRow; // [vocab]
  private final IntConsumer appended; // one object, not one a row
  private final RowChunk[] chunks; // one is filled while the other's results are awaited
  private long begun;

  /**
   * @param rowsMax most rows that are of use in a chunk; it may be fewer
   */
  CudaSampler(CudaBackend backend, Launch launch, int vocabSize, int[] endTokenIds, int rowsMax) {
    this.backend = backend;
    this.vocabSize = vocabSize;
    this.endTokenIds = Arrays.stream(endTokenIds).filter(id -> id >= 0 && id < vocabSize).toArray();
    long rowBytes = (long) vocabSize * Float.BYTES;
    this.rowsMax = Math.clamp(LOGITS_BYTES_MAX / rowBytes, 1, rowsMax);
    CudaDriver driver = backend.driver();
    inputs = new SampleInputs(driver, this.rowsMax);
    tables = new TokenTables(driver, launch, vocabSize, TABLES_BYTES_MAX);
    kernels = new SampleKernels(driver, launch, vocabSize, this.rowsMax, backend.sampledTokens());
    topsMax = kernels.topsMax();
    host = new Sampler(vocabSize, endTokenIds);
    hostRow = new float[vocabSize];
    appended = inputs::append;
    chunks = new RowChunk[] {new RowChunk(driver), new RowChunk(driver)};
  }

  @Override
  public int rowsMax() {
    return rowsMax;
  }

  @Override
  public RowChunk begin(int rowCount) {
    if (rowCount < 0 || rowCount > rowsMax) {
      throw new IllegalStateException(rowCount + " rows; at most " + rowsMax + " are possible");
    }
    inputs.begin(rowCount);
    tables.begin();
    RowChunk chunk = chunks[(int) (++begun % 2)];
    chunk.begin(rowCount, begun);
    return chunk;
  }

  @Override
  public void forget(TokenHistory history) {
    tables.forget(history);
  }

  private boolean isOutside(int id) {
    return id < 0 || id >= vocabSize;
  }

  private boolean isAnyOutside(int[] ids) {
    for (int id : ids) {
      if (isOutside(id)) {
        return true;
      }
    }
    return false;
  }

  /** Owned by the executor thread. The rows of one chunk. */
  final class RowChunk implements Chunk {
    private final SampleResults results;
    private final @Nullable TokenHistory[] histories; // null: a token is scored
    private final @Nullable SamplingParams[] params; // likewise
    private final @Nullable TokenMask[] masks; // null: no constraint, or a token is scored
    private final TokenTables.@Nullable Table[] taken; // null: no penalties, or on the host
    private final int[] sizes; // of the histories when they were asked about
    private final int[] given;
    private final int[] tops;
    private final boolean[] isOnHost;

    private int[] lastAllowed = NO_IDS; // choices of one request share a mask
    private int lastMask;
    private long @Nullable [] lastTokens; // likewise, where they stand at the same place
    private boolean lastMayEnd;
    private int lastGrammarMask;
    private int rows;
    private int rowsOnHost;
    private int asked;
    private int staged;
    private boolean reportsTops;
    private long number;
    private @Nullable CudaTensor logits;

    private RowChunk(CudaDriver driver) {
      results = new SampleResults(driver, rowsMax);
      histories = new TokenHistory[rowsMax];
      params = new SamplingParams[rowsMax];
      masks = new TokenMask[rowsMax];
      taken = new TokenTables.Table[rowsMax];
      sizes = new int[rowsMax];
      given = new int[rowsMax];
      tops = new int[rowsMax];
      isOnHost = new boolean[rowsMax];
    }

    private void begin(int rowCount, long chunkNumber) {
      Arrays.fill(histories, 0, rows, null);
      Arrays.fill(params, 0, rows, null);
      Arrays.fill(masks, 0, rows, null);
      Arrays.fill(taken, 0, rows, null);
      number = chunkNumber;
      rows = rowCount;
      rowsOnHost = 0;
      asked = 0;
      staged = 0;
      reportsTops = false;
      lastAllowed = NO_IDS;
      lastTokens = null;
      logits = null;
    }

    @Override
    public void choose(TokenHistory history, SamplingParams asks, @Nullable TokenMask mask) {
      int row = next();
      histories[row] = history;
      params[row] = asks;
      masks[row] = mask;
      sizes[row] = history.size();
      isOnHost[row] =
          asks.logprobs() > topsMax
              || asks.scoredIds().length > 0
              || !describe(row, history, asks, mask);
      if (isOnHost[row]) {
        rowsOnHost++;
        inputs.clear(row);
      } else {
        reportsTops |= asks.logprobs() > 0;
      }
    }

    @Override
    public void score(int token, int topCount) {
      int row = next();
      given[row] = token;
      tops[row] = topCount;
      isOnHost[row] = topCount > topsMax || isOutside(token);
      if (isOnHost[row]) {
        rowsOnHost++;
      } else {
        inputs.set(SampleInputs.GIVEN, row, token);
        inputs.set(SampleInputs.LOGPROBS, row, Math.max(0, topCount));
        reportsTops |= topCount > 0;
      }
    }

    private int next() {
      if (asked == rows) {
        throw new IllegalStateException("more requests than the chunk's " + rows + " rows");
      }
      return asked++;
    }

    /** Writes a row's parameters; false if the kernels do not take them. */
    private boolean describe(
        int row, TokenHistory history, SamplingParams asks, @Nullable TokenMask mask) {
      inputs.set(SampleInputs.TEMPERATURE, row, asks.temperature());
      inputs.set(SampleInputs.TOP_P, row, asks.topP());
      inputs.set(SampleInputs.MIN_P, row, asks.minP());
      inputs.set(SampleInputs.TOP_K, row, asks.topK());
      inputs.set(SampleInputs.SEED_LOW, row, (int) asks.seed());
      inputs.set(SampleInputs.SEED_HIGH, row, (int) (asks.seed() >>> Integer.SIZE));
      inputs.set(SampleInputs.POSITION, row, history.size());
      inputs.set(SampleInputs.LOGPROBS, row, asks.logprobs());
      inputs.set(SampleInputs.NEXT_ROW, row, row);
      if (mask == null && LogitStages.areIdle(history, asks)) {
        return true;
      }
      if (!describeMasks(row, history, asks, mask) || !describePenalties(row, history, asks)) {
        return false;
      }
      inputs.set(SampleInputs.STAGED, row, staged++);
      return true;
    }

    private boolean describeMasks(
        int row, TokenHistory history, SamplingParams asks, @Nullable TokenMask mask) {
      if (isAnyOutside(asks.allowedTokenIds()) || isAnyOutside(asks.biasIds())) {
        return false;
      }
      if (asks.allowedTokenIds().length > 0) {
        inputs.set(SampleInputs.ALLOWED, row, mask(asks.allowedTokenIds()));
      }
      if (mask != null) {
        inputs.set(SampleInputs.GRAMMAR, row, grammarMask(mask));
      }
      int start = inputs.end();
      LogitStages.excluded(endTokenIds, history, asks, mask, appended);
      inputs.set(SampleInputs.EXCLUDED_START, row, start);
      inputs.set(SampleInputs.EXCLUDED_COUNT, row, inputs.end() - start);
      for (int at = start; at < inputs.end(); at++) {
        if (isOutside(inputs.get(at))) {
          return false;
        }
      }
      inputs.set(SampleInputs.BIAS_START, row, inputs.end());
      inputs.set(SampleInputs.BIAS_COUNT, row, asks.biasIds().length);
      for (int id : asks.biasIds()) {
        inputs.append(id);
      }
      for (float value : asks.biasValues()) {
        inputs.append(Float.floatToRawIntBits(value));
      }
      return true;
    }

    private int mask(int[] ids) {
      if (!Arrays.equals(ids, lastAllowed)) {
        lastAllowed = ids;
        lastMask = inputs.appendBits(vocabSize);
        for (int id : ids) {
          inputs.setBit(lastMask, id);
        }
      }
      return lastMask;
    }

    @SuppressWarnings("ReferenceEquality") // comparing all bits would cost what sending them does
    private int grammarMask(TokenMask mask) {
      if (mask.tokens() != lastTokens || mask.mayEnd() != lastMayEnd) {
        lastTokens = mask.tokens();
        lastMayEnd = mask.mayEnd();
        lastGrammarMask = inputs.appendBits(vocabSize, mask.tokens());
        for (int id : endTokenIds) {
          inputs.putBit(lastGrammarMask, id, mask.mayEnd());
        }
      }
      return lastGrammarMask;
    }

    private boolean describePenalties(int row, TokenHistory history, SamplingParams asks) {
      if (!LogitStages.hasPenalties(asks)) {
        return true;
      }
      TokenTables.Table table = tables.take(history, number, inputs);
      if (table == null) {
        return false;
      }
      taken[row] = table;
      inputs.set(SampleInputs.COUNTS, row, table.index());
      inputs.set(SampleInputs.REPETITION, row, asks.repetitionPenalty());
      inputs.set(SampleInputs.FREQUENCY, row, asks.frequencyPenalty());
      inputs.set(SampleInputs.PRESENCE, row, asks.presencePenalty());
      return true;
    }

    @Override
    public void run(Operand in, Matrix weight) {
      if (rows > 0) {
        answer(backend.product(in, weight));
      }
    }

    @Override
    public void run(Operand in, Matrix weight, LoraTarget target, AttentionBatch batch) {
      if (rows > 0) {
        CudaTensor product = backend.product(in, weight);
        backend.addLora(product, in, target, batch);
        answer(product);
      }
    }

    @Override
    public void run(Tensor product) {
      if (rows > 0) {
        answer((CudaTensor) product);
      }
    }

    /** Answers the requests from logits that are on the device. */
    void answer(CudaTensor product) {
      if (asked != rows || product.rows() != rows || product.columns() != vocabSize) {
        throw new IllegalStateException(
            "%d requests for %d rows, of %d × %d logits"
                .formatted(asked, rows, product.rows(), product.columns()));
      }
      try (var _ = backend.ranges().open(Ranges.Kind.SAMPLING)) {
        inputs.upload();
        tables.count(inputs);
        SampleKernels.Chunk chunk =
            new SampleKernels.Chunk(product, inputs, tables.address(), staged, reportsTops);
        kernels.launch(chunk, results);
      }
      logits = product;
    }

    @Override
    public void await() {
      if (rows > 0) {
        results.await();
      }
    }

    /** Logits of rows that go to the host are there only until the next step's. */
    @Override
    public boolean outlivesNext() {
      return rowsOnHost == 0;
    }

    @Override
    public Sampled sampled(int index) {
      CudaTensor product = answered(index);
      TokenHistory history = histories[index];
      SamplingParams asks = params[index];
      if (history == null || asks == null) {
        throw new IllegalStateException("row " + index + " was to be scored");
      }
      if (isOnHost[index]) {
        backend.logits.read(hostRow, product, index);
        return host.sample(hostRow, 0, history, asks, masks[index]);
      }
      int token = results.token(index);
      TokenTables.Table table = taken[index];
      if (table != null) {
        table.advance(sizes[index], token);
      }
      return new Sampled(token, asks.logprobs() >= 0 ? results.logprobs(index) : null);
    }

    @Override
    public TokenLogprobs scored(int index) {
      CudaTensor product = answered(index);
      if (histories[index] != null) {
        throw new IllegalStateException("row " + index + " was to be chosen from");
      }
      if (isOnHost[index]) {
        backend.logits.read(hostRow, product, index);
        return host.score(hostRow, 0, given[index], tops[index]);
      }
      return results.logprobs(index);
    }

    private CudaTensor answered(int index) {
      CudaTensor product = logits;
      if (product == null || index < 0 || index >= rows) {
        throw new IllegalStateException("row " + index + " of " + rows + " has no answer");
      }
      return product;
    }
  }
}
