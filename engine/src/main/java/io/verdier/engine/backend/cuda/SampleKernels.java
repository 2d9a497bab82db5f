package io.verdier.engine.backend.cuda;

import io.verdier.engine.sample.LogSum;
import io.verdier.engine.sample.RowFault;
import io.verdier.engine.sample.TokenLogprobs;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Launches the three sampling kernels and reads what they report. Owned by the executor thread.
 *
 * <pre>
 *   results     status | token | logit | rank | tops | max | sum, sum     8 a row
 *   topIds      the most probable tokens, best first                      20 a row
 *   topLogits   their logits                                              20 a row
 * </pre>
 *
 * One copy brings results, and the tops with them where any row asks for some.
 */
final class SampleKernels {
  private static final int EXTREMES_THREADS = 512;
  private static final int DRAW_THREADS = 1024;
  private static final int CHUNKS_MAX = 32; // of a row
  private static final int CHUNK_TOKENS_MIN = 2048;
  private static final int BLOCKS_PER_MULTIPROCESSOR = 4; // two at once, and two waiting
  private static final int PARTIAL_BYTES = 40;
  private static final int TOPS_MAX = 20;
  private static final int TOP_KEYS_MAX = 5120;

  // As SampleResult and SampleStatus in sample.cu.
  private static final int STATUS = 0;
  private static final int TOKEN = 1;
  private static final int LOGIT = 2;
  private static final int RANK = 3;
  private static final int TOPS = 4;
  private static final int MAX = 5;
  private static final int SUM_LOW = 6;
  private static final int SUM_HIGH = 7;
  private static final int RESULT_INTS = 8;
  private static final int OK = 0;
  private static final int BROKEN_LOGIT = 1;
  private static final int BROKEN_ROW = 2;
  private static final int REFUSED_ROW = 3;
  private static final int REFUSED_LOGIT = 4;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaDriver.Kernel extremes;
  private final CudaDriver.Kernel weigh;
  private final CudaDriver.Kernel draw;
  private final int vocabSize;
  private final long partials;
  private final long results;
  private final MemorySegment hostResults;
  private final DeviceBuffer staged; // [rows, stride of the logits]
  private int rows; // of the last chunk

  /**
   * A chunk of rows.
   *
   * @param tables where table 0 of the counts lies; 0: no row asks for any
   * @param staged how many rows are changed before a token is chosen
   */
  record Chunk(
      CudaTensor logits, SampleInputs inputs, long tables, int staged, boolean reportsTops) {}

  SampleKernels(CudaDriver driver, Launch launch, int vocabSize, int rowsMax) {
    this.driver = driver;
    this.launch = launch;
    this.vocabSize = vocabSize;
    extremes = driver.kernel("sample_extremes", 0);
    weigh = driver.kernel("sample_weigh", 0);
    draw = driver.kernel("sample_draw", 0);
    staged = new DeviceBuffer(driver, (long) rowsMax * CudaTensor.stride(vocabSize) * Float.BYTES);
    partials = driver.allocate((long) rowsMax * CHUNKS_MAX * PARTIAL_BYTES);
    results = driver.allocate(resultBytes(rowsMax, true));
    hostResults = driver.hostBuffer(resultBytes(rowsMax, true));
  }

  private static long resultBytes(int rowCount, boolean hasTops) {
    return (long) rowCount * (RESULT_INTS + (hasTops ? 2 * TOPS_MAX : 0)) * Integer.BYTES;
  }

  /** Most tokens that a row can report beside its own: {@code sample_draw} has a list of them. */
  int topsMax() {
    int perThread = 4 * ((vocabSize + 4 * DRAW_THREADS - 1) / (4 * DRAW_THREADS));
    return Math.min(TOPS_MAX, TOP_KEYS_MAX / perThread);
  }

  /** Runs the kernels on a chunk that was uploaded, and waits for the results. */
  void launch(Chunk chunk) {
    rows = chunk.logits.rows();
    staged.reserve(Math.max(1L, chunk.staged) * chunk.logits.stride() * Float.BYTES);
    int parts = parts();
    long words = chunk.inputs.address(); // base of lists, and of masks as rows of one word
    begin(chunk, parts, rows, EXTREMES_THREADS)
        .pointer(words)
        .integer(1)
        .pointer(words)
        .pointer(chunk.tables)
        .pointer(staged.address())
        .pointer(partials);
    driver.launch(extremes, launch);
    begin(chunk, parts, rows, EXTREMES_THREADS).pointer(staged.address()).pointer(partials);
    driver.launch(weigh, launch);
    begin(chunk, rows, 1, DRAW_THREADS)
        .pointer(staged.address())
        .pointer(partials)
        .integer(parts)
        .pointer(chunk.tables)
        .pointer(results)
        .pointer(results + (long) topIds(0) * Integer.BYTES)
        .pointer(results + (long) topLogits(0) * Integer.BYTES)
        .pointer(0);
    driver.launch(draw, launch);
    driver.copyOut(hostResults, results, resultBytes(rows, chunk.reportsTops));
    driver.synchronize();
  }

  private Launch begin(Chunk chunk, int gridX, int gridY, int threads) {
    return launch
        .grid(gridX, gridY, 1, threads)
        .pointer(chunk.inputs.address())
        .pointer(chunk.inputs.fields())
        .integer(rows)
        .pointer(chunk.logits.address())
        .integer(chunk.logits.stride())
        .integer(vocabSize);
  }

  /** Blocks per row: enough for all multiprocessors, of a worthwhile share of the row each. */
  private int parts() {
    int wanted = BLOCKS_PER_MULTIPROCESSOR * driver.device().multiprocessors() / rows;
    int worthwhile = (vocabSize + CHUNK_TOKENS_MIN - 1) / CHUNK_TOKENS_MIN;
    return Math.clamp(wanted, 1, Math.min(CHUNKS_MAX, worthwhile));
  }

  /**
   * The token of a row.
   *
   * @throws IllegalStateException if the row is broken
   * @throws io.verdier.engine.RejectedException if no token can be chosen
   */
  int token(int row) {
    float logit = number(result(row, LOGIT));
    int token = integer(result(row, TOKEN));
    int status = integer(result(row, STATUS));
    return switch (status) {
      case OK -> token;
      case BROKEN_LOGIT -> throw RowFault.brokenLogit(token, logit);
      case BROKEN_ROW -> throw RowFault.brokenRow();
      case REFUSED_ROW -> throw RowFault.noTokenLeft();
      case REFUSED_LOGIT -> throw RowFault.refusedLogit(logit);
      default -> throw new IllegalStateException("status " + status + " of row " + row);
    };
  }

  /**
   * The log probabilities of a row that asks for some.
   *
   * @throws IllegalStateException as {@link #token}
   * @throws io.verdier.engine.RejectedException likewise
   */
  TokenLogprobs logprobs(int row) {
    int token = token(row);
    long sum =
        Integer.toUnsignedLong(integer(result(row, SUM_LOW)))
            | (long) integer(result(row, SUM_HIGH)) << Integer.SIZE;
    LogSum logSum = LogSum.of(number(result(row, MAX)), sum);
    int[] ids = new int[integer(result(row, TOPS))];
    float[] logprobs = new float[ids.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = integer(topIds(row) + i);
      logprobs[i] = logSum.logprob(number(topLogits(row) + i));
    }
    float logprob = logSum.logprob(number(result(row, LOGIT)));
    return new TokenLogprobs(token, logprob, integer(result(row, RANK)), ids, logprobs);
  }

  private static int result(int row, int field) {
    return row * RESULT_INTS + field;
  }

  private int topIds(int row) {
    return rows * RESULT_INTS + row * TOPS_MAX;
  }

  private int topLogits(int row) {
    return rows * (RESULT_INTS + TOPS_MAX) + row * TOPS_MAX;
  }

  private int integer(int index) {
    return hostResults.getAtIndex(ValueLayout.JAVA_INT, index);
  }

  private float number(int index) {
    return hostResults.getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }
}
