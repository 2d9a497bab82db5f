package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.sample.LogitStages;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.Sampler;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import java.util.Arrays;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Chooses tokens by the kernels of {@code sample.cu}. Owned by the executor thread.
 *
 * <p>A chunk of rows is one small copy in (parameters, lists, masks), the multiplication, three
 * kernels and one small copy back, whatever the rows ask for; nothing is allocated for a row but
 * its result.
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
  private final Sampler host;
  private final float[] hostRow; // [vocab]
  private final IntConsumer appended; // one object, not one a row

  // By row of the chunk.
  private final @Nullable TokenHistory[] histories; // null: a token is scored
  private final @Nullable SamplingParams[] params; // likewise
  private final TokenTables.@Nullable Table[] taken; // null: no penalties, or on the host
  private final int[] given;
  private final int[] tops;
  private final boolean[] isOnHost;

  private int[] lastAllowed = NO_IDS; // choices of one request share a mask
  private int lastMask;
  private int rows;
  private int asked;
  private int staged;
  private boolean reportsTops;
  private long chunk;
  private @Nullable CudaTensor logits; // of the chunk

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
    kernels = new SampleKernels(driver, launch, vocabSize, this.rowsMax);
    topsMax = kernels.topsMax();
    host = new Sampler(vocabSize, endTokenIds);
    hostRow = new float[vocabSize];
    appended = inputs::append;
    histories = new TokenHistory[this.rowsMax];
    params = new SamplingParams[this.rowsMax];
    taken = new TokenTables.Table[this.rowsMax];
    given = new int[this.rowsMax];
    tops = new int[this.rowsMax];
    isOnHost = new boolean[this.rowsMax];
  }

  @Override
  public int rowsMax() {
    return rowsMax;
  }

  @Override
  public void begin(int rowCount) {
    if (rowCount < 0 || rowCount > rowsMax) {
      throw new IllegalStateException(rowCount + " rows; at most " + rowsMax + " are possible");
    }
    Arrays.fill(histories, 0, rows, null);
    Arrays.fill(params, 0, rows, null);
    Arrays.fill(taken, 0, rows, null);
    chunk++;
    rows = rowCount;
    asked = 0;
    staged = 0;
    reportsTops = false;
    lastAllowed = NO_IDS;
    logits = null;
    inputs.begin(rowCount);
    tables.begin();
  }

  @Override
  public void choose(TokenHistory history, SamplingParams asks) {
    int row = next();
    histories[row] = history;
    params[row] = asks;
    isOnHost[row] = asks.logprobs() > topsMax || !describe(row, history, asks);
    if (isOnHost[row]) {
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
    inputs.clear(row);
    if (!isOnHost[row]) {
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
  private boolean describe(int row, TokenHistory history, SamplingParams asks) {
    inputs.clear(row);
    inputs.set(SampleInputs.TEMPERATURE, row, asks.temperature());
    inputs.set(SampleInputs.TOP_P, row, asks.topP());
    inputs.set(SampleInputs.MIN_P, row, asks.minP());
    inputs.set(SampleInputs.TOP_K, row, asks.topK());
    inputs.set(SampleInputs.SEED_LOW, row, (int) asks.seed());
    inputs.set(SampleInputs.SEED_HIGH, row, (int) (asks.seed() >>> Integer.SIZE));
    inputs.set(SampleInputs.POSITION, row, history.size());
    inputs.set(SampleInputs.LOGPROBS, row, asks.logprobs());
    if (LogitStages.areIdle(history, asks)) {
      return true;
    }
    if (!describeMasks(row, history, asks) || !describePenalties(row, history, asks)) {
      return false;
    }
    inputs.set(SampleInputs.STAGED, row, staged++);
    return true;
  }

  private boolean describeMasks(int row, TokenHistory history, SamplingParams asks) {
    if (isAnyOutside(asks.allowedTokenIds()) || isAnyOutside(asks.biasIds())) {
      return false;
    }
    if (asks.allowedTokenIds().length > 0) {
      inputs.set(SampleInputs.ALLOWED, row, mask(asks.allowedTokenIds()));
    }
    int start = inputs.end();
    LogitStages.excluded(endTokenIds, history, asks, appended);
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

  private boolean describePenalties(int row, TokenHistory history, SamplingParams asks) {
    if (!LogitStages.hasPenalties(asks)) {
      return true;
    }
    TokenTables.Table table = tables.take(history, chunk, inputs);
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

  @Override
  public void run(Operand in, Matrix weight) {
    if (rows > 0) {
      answer(backend.product(in, weight));
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
      kernels.launch(
          new SampleKernels.Chunk(product, inputs, tables.address(), staged, reportsTops));
    }
    backend.onSynchronized();
    logits = product;
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
      backend.read(hostRow, product, index);
      return host.sample(hostRow, 0, history, asks);
    }
    int token = kernels.token(index);
    TokenTables.Table table = taken[index];
    if (table != null) {
      table.advance(history.size(), token);
    }
    return new Sampled(token, asks.logprobs() >= 0 ? kernels.logprobs(index) : null);
  }

  @Override
  public TokenLogprobs scored(int index) {
    CudaTensor product = answered(index);
    if (histories[index] != null) {
      throw new IllegalStateException("row " + index + " was to be chosen from");
    }
    if (isOnHost[index]) {
      backend.read(hostRow, product, index);
      return host.score(hostRow, 0, given[index], tops[index]);
    }
    return kernels.logprobs(index);
  }

  private CudaTensor answered(int index) {
    CudaTensor product = logits;
    if (product == null || index < 0 || index >= rows) {
      throw new IllegalStateException("row " + index + " of " + rows + " has no answer");
    }
    return product;
  }

  @Override
  public void forget(TokenHistory history) {
    tables.forget(history);
  }
}
