package io.verdier.engine.backend.cuda;

/**
 * Launches the three sampling kernels, and queues the copy of what they report. Owned by the
 * executor thread.
 */
final class SampleKernels {
  private static final int EXTREMES_THREADS = 512;
  private static final int DRAW_THREADS = 1024;
  private static final int CHUNKS_MAX = 32; // of a row
  private static final int CHUNK_TOKENS_MIN = 2048;
  private static final int BLOCKS_PER_MULTIPROCESSOR = 4; // two at once, and two waiting
  private static final int PARTIAL_BYTES = 40;
  private static final int TOP_KEYS_MAX = 5120;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaDriver.Kernel extremes;
  private final CudaDriver.Kernel weigh;
  private final CudaDriver.Kernel draw;
  private final int vocabSize;
  private final long partials;
  private final long results; // as SampleResults draws them
  private final long nextTokens; // [rows], by NEXT_ROW
  private final DeviceBuffer staged; // [rows, stride of the logits]

  /**
   * A chunk of rows.
   *
   * @param tables where table 0 of the counts lies; 0: no row asks for any
   * @param staged how many rows are changed before a token is chosen
   */
  record Chunk(
      CudaTensor logits, SampleInputs inputs, long tables, int staged, boolean reportsTops) {}

  /**
   * @param nextTokens where chosen tokens are left for the next step
   */
  SampleKernels(CudaDriver driver, Launch launch, int vocabSize, int rowsMax, long nextTokens) {
    this.driver = driver;
    this.launch = launch;
    this.vocabSize = vocabSize;
    this.nextTokens = nextTokens;
    extremes = driver.kernel("sample_extremes", 0);
    weigh = driver.kernel("sample_weigh", 0);
    draw = driver.kernel("sample_draw", 0);
    staged = new DeviceBuffer(driver, (long) rowsMax * CudaTensor.stride(vocabSize) * Float.BYTES);
    partials = driver.allocate((long) rowsMax * CHUNKS_MAX * PARTIAL_BYTES);
    results = driver.allocate(SampleResults.bytes(rowsMax, true));
  }

  /** Most tokens that a row can report beside its own: {@code sample_draw} has a list of them. */
  int topsMax() {
    int perThread = 4 * ((vocabSize + 4 * DRAW_THREADS - 1) / (4 * DRAW_THREADS));
    return Math.min(SampleResults.TOPS_MAX, TOP_KEYS_MAX / perThread);
  }

  /** Queues the kernels on a chunk that was uploaded. */
  void launch(Chunk chunk, SampleResults target) {
    int rows = chunk.logits.rows();
    staged.reserve(Math.max(1L, chunk.staged) * chunk.logits.stride() * Float.BYTES);
    int parts = parts(rows);
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
        .pointer(results + SampleResults.topIdsAt(rows))
        .pointer(results + SampleResults.topLogitsAt(rows))
        .pointer(nextTokens);
    driver.launch(draw, launch);
    target.bring(results, rows, chunk.reportsTops);
  }

  private Launch begin(Chunk chunk, int gridX, int gridY, int threads) {
    return launch
        .grid(gridX, gridY, 1, threads)
        .pointer(chunk.inputs.address())
        .pointer(chunk.inputs.fields())
        .integer(chunk.logits.rows())
        .pointer(chunk.logits.address())
        .integer(chunk.logits.stride())
        .integer(vocabSize);
  }

  /** Blocks per row: enough for all multiprocessors, of a worthwhile share of the row each. */
  private int parts(int rows) {
    int wanted = BLOCKS_PER_MULTIPROCESSOR * driver.device().multiprocessors() / rows;
    int worthwhile = (vocabSize + CHUNK_TOKENS_MIN - 1) / CHUNK_TOKENS_MIN;
    return Math.clamp(wanted, 1, Math.min(CHUNKS_MAX, worthwhile));
  }
}
