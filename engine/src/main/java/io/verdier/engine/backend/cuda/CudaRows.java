package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
  private static final int ROWS_MAX = 1 << 16;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaDriver.Kernel norm;
  private final CudaDriver.Kernel convert;
  private final CudaDriver.Kernel gather;
  private final Map<WeightFormat, CudaDriver.Kernel> embed = new EnumMap<>(WeightFormat.class);
  private final long counts; // [ROWS_MAX], each number at its own index
  private final MemorySegment hostIndices; // [ROWS_MAX]
  private final long indices;
  private boolean isUnderWay;

  CudaRows(CudaDriver driver, Launch launch) {
    this.driver = driver;
    this.launch = launch;
    norm = driver.kernel("rms_norm", NORM_COLUMNS_MAX * Float.BYTES);
    convert = driver.kernel("operand_from_tensor", 0);
    gather = driver.kernel("gather", 0);
    for (WeightFormat format : WeightFormat.values()) {
      embed.put(format, driver.kernel("embed_" + format.label(), 0));
    }
    long bytes = (long) ROWS_MAX * Integer.BYTES;
    counts = driver.allocate(bytes);
    indices = driver.allocate(bytes);
    hostIndices = driver.hostBuffer(bytes);
    for (int i = 0; i < ROWS_MAX; i++) {
      hostIndices.setAtIndex(ValueLayout.JAVA_INT, i, i);
    }
    driver.copyIn(counts, hostIndices, bytes);
    isUnderWay = true;
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
    begin(batch.count());
    for (int i = 0; i < batch.count(); i++) {
      hostIndices.setAtIndex(ValueLayout.JAVA_INT, i, batch.token(batch.first() + i));
    }
    return bring(batch.count());
  }

  private void begin(int count) {
    count(count);
    if (isUnderWay) {
      driver.synchronize(); // the host's side may be overwritten only when it has been read
    }
  }

  private long bring(int count) {
    driver.copyIn(indices, hostIndices, (long) count * Integer.BYTES);
    isUnderWay = true;
    return indices;
  }

  /** All that was queued has run. */
  void onSynchronized() {
    isUnderWay = false;
  }

  /**
   * Looks rows of a table up.
   *
   * @param tokens on the device
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
        .pointer(out.address())
        .integer(out.stride())
        .pointer(counts)
        .integer(0)
        .number(1);
    driver.launch(Objects.requireNonNull(embed.get(table.format())), launch);
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
    driver.launch(norm, launch);
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
    begin(out.rows());
    for (int i = 0; i < out.rows(); i++) {
      if (rows[from + i] < 0 || rows[from + i] >= in.rowsMax()) {
        throw new IllegalStateException("row " + rows[from + i] + " of " + in.rowsMax());
      }
      hostIndices.setAtIndex(ValueLayout.JAVA_INT, i, rows[from + i]);
    }
    long at = bring(out.rows());
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
