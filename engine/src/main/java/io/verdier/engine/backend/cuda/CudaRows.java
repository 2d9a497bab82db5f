package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.cuda.Ranges.Kind;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/**
 * Operations that go over rows: embedding, norms, conversions, gathering. Owned by the executor
 * thread.
 */
final class CudaRows {
  private static final int THREADS = 256;
  private static final int NORM_THREADS = 512;
  private static final int NORM_COLUMNS_MAX = 16_384;
  private static final int GATHER_COLUMNS = 4 * NORM_THREADS; // of a block
  static final int ROWS_MAX = 1 << 16;

  private final CudaDriver driver;
  private final Launch launch;
  private final Ranges ranges;
  private final CudaDriver.Kernel norm;
  private final CudaDriver.Kernel convert;
  private final CudaDriver.Kernel gather;
  private final Map<WeightFormat, CudaDriver.Kernel> embed = new EnumMap<>(WeightFormat.class);
  private final long counts; // [ROWS_MAX], each number at its own index
  private final Staging staging;
  private final long indices; // [ROWS_MAX]
  private final long sampled; // [ROWS_MAX], what the chunk run last has chosen
  private final int[] gathered = new int[ROWS_MAX];

  CudaRows(CudaDriver driver, Launch launch, Ranges ranges) {
    this.driver = driver;
    this.launch = launch;
    this.ranges = ranges;
    norm = driver.kernel("rms_norm", NORM_COLUMNS_MAX * Float.BYTES);
    convert = driver.kernel("operand_from_tensor", 0);
    gather = driver.kernel("gather", 0);
    for (WeightFormat format : WeightFormat.values()) {
      embed.put(format, driver.kernel("embed_" + format.label(), 0));
    }
    long bytes = (long) ROWS_MAX * Integer.BYTES;
    counts = driver.allocate(bytes);
    indices = driver.allocate(bytes);
    sampled = driver.allocate(bytes);
    staging = new Staging(driver, bytes);
    Arrays.setAll(gathered, i -> i);
    bring(counts, gathered, ROWS_MAX);
  }

  /** Each token is an id below the table's size, or names a row whose token was just sampled. */
  static void requireTokens(AttentionBatch batch, int tokensMax) {
    for (int row = 0; row < batch.rows(); row++) {
      int token = batch.token(row);
      if (token >= tokensMax || token < AttentionBatch.sampled(ROWS_MAX - 1)) {
        throw new IllegalStateException("token " + token + " of " + tokensMax);
      }
    }
  }

  /** Where a number lies on the device, for kernels that ask there how many rows they have. */
  long count(int rows) {
    if (rows >= ROWS_MAX) {
      throw new IllegalStateException(rows + " rows; below " + ROWS_MAX + " are possible");
    }
    return counts + (long) rows * Integer.BYTES;
  }

  /** Brings a batch's selected tokens to the device. */
  long tokens(AttentionBatch batch) {
    count(batch.count());
    System.arraycopy(batch.tokens(), batch.first(), gathered, 0, batch.count());
    return bring(indices, gathered, batch.count());
  }

  private long bring(long to, int[] numbers, int count) {
    long bytes = (long) count * Integer.BYTES;
    staging.begin(bytes);
    staging.put(0, numbers, count);
    staging.copyIn(to, bytes);
    return to;
  }

  /** Where the sampler leaves what it has chosen, for a step that was begun before it is read. */
  long sampled() {
    return sampled;
  }

  /**
   * Looks rows of a table up.
   *
   * @param tokens on the device; negative ones are {@link AttentionBatch#sampled}
   * @param rows for which the grid must have room; {@code counts} says how many there are
   */
  void embed(CudaTensor out, CudaMatrix table, long tokens, long counts, int rows) {
    if (rows == 0) {
      return;
    }
    launch
        .grid(rows, THREADS)
        .pointer(table.address())
        .pointer(table.scales())
        .integer(table.columns())
        .pointer(tokens)
        .pointer(sampled)
        .pointer(out.address())
        .integer(out.stride())
        .pointer(counts)
        .integer(0)
        .number(1);
    try (var _ = ranges.open(Kind.EMBEDDING)) {
      driver.launch(Objects.requireNonNull(embed.get(table.format())), launch);
    }
  }

  void norm(Normed normed, long counts, int rows) {
    if (rows == 0) {
      return;
    }
    CudaTensor in = normed.in;
    if (in.columns() > NORM_COLUMNS_MAX) {
      throw new IllegalStateException(
          in.columns() + " columns; a row of at most " + NORM_COLUMNS_MAX + " can be normalised");
    }
    launch
        .grid(rows, NORM_THREADS)
        .shared((in.columns() + 3) / 4 * 4 * Float.BYTES)
        .pointer(normed.out.address())
        .integer(normed.out.paddedRows())
        .pointer(in.address())
        .integer(in.stride())
        .pointer(0)
        .pointer(normed.gain.address())
        .integer(in.columns())
        .number(normed.epsilon)
        .pointer(counts);
    try (var _ = ranges.open(Kind.NORM)) {
      driver.launch(norm, launch);
    }
  }

  /** What is normalised. */
  record Normed(CudaOperand out, CudaTensor in, CudaGain gain, float epsilon) {}

  void convert(CudaOperand out, CudaTensor in, long counts, int rows) {
    if (rows == 0) {
      return;
    }
    launch
        .grid(rows, THREADS)
        .pointer(in.address())
        .integer(in.stride())
        .integer(in.columns())
        .pointer(out.address())
        .integer(out.paddedRows())
        .pointer(counts)
        .integer(0);
    driver.launch(convert, launch);
  }

  /** Copies rows of the storage, by their index from its first. */
  void gather(CudaTensor out, CudaTensor in, int[] rows, int from) {
    if (out.rows() == 0) {
      return;
    }
    count(out.rows());
    for (int i = 0; i < out.rows(); i++) {
      if (rows[from + i] < 0 || rows[from + i] >= in.rowsMax()) {
        throw new IllegalStateException("row " + rows[from + i] + " of " + in.rowsMax());
      }
      gathered[i] = rows[from + i];
    }
    long at = bring(indices, gathered, out.rows());
    launch
        .grid(out.rows(), (in.columns() + GATHER_COLUMNS - 1) / GATHER_COLUMNS, 1, NORM_THREADS)
        .pointer(out.address())
        .integer(out.stride())
        .pointer(in.origin())
        .integer(in.stride())
        .pointer(at)
        .integer(in.columns())
        .pointer(count(out.rows()));
    driver.launch(gather, launch);
  }
}
