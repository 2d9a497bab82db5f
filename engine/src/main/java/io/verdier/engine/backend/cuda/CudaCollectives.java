package io.verdier.engine.backend.cuda;

import static io.verdier.engine.backend.Shapes.requireColumns;
import static io.verdier.engine.backend.Shapes.requireRows;

import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sums over devices by gathering all addends on each of them and adding them up there, in the order
 * of ranks. Owned by the rank's thread; everything is queued behind what the backend has queued.
 *
 * <p>The addends of all ranks lie in one buffer of bounded size. A tensor of more rows goes through
 * it a run of rows at a time, on every rank the same ones: a sum is of one row, so its bits do not
 * know of runs.
 *
 * <p>NCCL has a sum of its own, but chooses its order by the message's size, and a message grows
 * with the batch: docs/adr/0009 says why that is not for us.
 */
final class CudaCollectives implements Collectives {
  private static final Logger LOG = LoggerFactory.getLogger(CudaCollectives.class);
  private static final int THREADS = 256;
  private static final int VECTOR = 4; // floats that a thread takes at once

  /** For several devices, messages of 8 MiB are as fast by the byte as larger ones. */
  private static final long PARTS_BYTES_MAX = 64L << 20;

  private final CudaDriver driver;
  private final Launch launch;
  private final Rank rank;
  private final Meeting meeting;
  private final DeviceExchange exchange;
  private final DeviceBuffer parts; // [ranks][rows of a run · stride]
  private final long partsBytesMax;
  private final CudaDriver.Kernel sum;
  private final CudaDriver.Kernel join;
  private @Nullable DeviceWatch watch; // null: nothing was to be watched yet

  /** Returns when all ranks have joined. */
  CudaCollectives(CudaDriver driver, Launch launch, Rank rank, Meeting meeting) {
    this(driver, launch, rank, meeting, PARTS_BYTES_MAX);
  }

  /**
   * @param partsBytesMax of all ranks' addends: how tests have runs of few rows
   */
  CudaCollectives(
      CudaDriver driver, Launch launch, Rank rank, Meeting meeting, long partsBytesMax) {
    this.partsBytesMax = partsBytesMax;
    this.driver = driver;
    this.launch = launch;
    this.rank = rank;
    this.meeting = meeting;
    exchange = driver.exchange(rank, meeting);
    parts = new DeviceBuffer(driver, partsBytesMax);
    sum = driver.kernel("sum_ranks", 0);
    join = driver.kernel("join_ranks", 0);
  }

  @Override
  public Rank rank() {
    return rank;
  }

  /** Sizes of messages are what NCCL chooses its ways by: one of each order of magnitude. */
  @Override
  public void connect(long floatsMax) {
    long most = Math.min(floatsMax, partsBytesMax / Float.BYTES / rank.size());
    DeviceBuffer own = new DeviceBuffer(driver);
    own.reserve(most * Float.BYTES);
    parts.reserve(rank.size() * most * Float.BYTES);
    for (long floats = VECTOR; floats < most; floats *= 2) {
      exchange.allGather(parts.address(), own.address(), floats * Float.BYTES);
    }
    exchange.allGather(parts.address(), own.address(), most * Float.BYTES);
    driver.synchronize();
    own.free();
    parts.free(); // a plan will count it
  }

  @Override
  public void reserve(Tensor largest) {
    CudaTensor tensor = (CudaTensor) largest;
    long rows = Math.min(tensor.rowsMax(), rowsOfRun(tensor));
    parts.reserve(rank.size() * rows * tensor.stride() * Float.BYTES);
  }

  @Override
  public void allReduceSum(Tensor tensor) {
    CudaTensor target = (CudaTensor) tensor;
    requireDense(target);
    int run = rowsOfRun(target);
    for (int row = 0; row < target.rows(); row += run) {
      long floats = (long) Math.min(run, target.rows() - row) * target.stride();
      long address = gather(target, row, floats);
      long blocks = (floats / VECTOR + THREADS - 1) / THREADS;
      launch
          .grid(Math.toIntExact(blocks), THREADS)
          .pointer(address)
          .pointer(parts.address())
          .integer64(floats)
          .integer(rank.size());
      driver.launch(sum, launch);
    }
  }

  @Override
  public void allGather(Tensor out, Tensor part) {
    requireRows(out.rows(), part.rows());
    requireColumns(out.columns(), rank.size() * part.columns());
    CudaTensor from = (CudaTensor) part;
    CudaTensor to = (CudaTensor) out;
    requireDense(from);
    int run = rowsOfRun(from);
    for (int row = 0; row < from.rows(); row += run) {
      int count = Math.min(run, from.rows() - row);
      long floats = (long) count * from.stride();
      gather(from, row, floats);
      launch
          .grid(count, (from.columns() + THREADS - 1) / THREADS, rank.size(), THREADS)
          .pointer(to.address() + (long) row * to.stride() * Float.BYTES)
          .integer(to.stride())
          .pointer(parts.address())
          .integer64(floats)
          .integer(from.stride())
          .integer(from.columns());
      driver.launch(join, launch);
    }
  }

  private static void requireDense(CudaTensor tensor) {
    if (!tensor.isDense()) {
      throw new IllegalStateException("some columns of a tensor cannot be exchanged");
    }
  }

  /** Rows, padding included, of which all ranks' fit into the buffer; one in any case. */
  private int rowsOfRun(CudaTensor tensor) {
    long rowBytes = (long) rank.size() * tensor.stride() * Float.BYTES;
    return Math.clamp(partsBytesMax / rowBytes, 1, Integer.MAX_VALUE);
  }

  /**
   * Brings some rows of all ranks here.
   *
   * @param row the first, among the selected ones
   * @return where it is on this device
   */
  private long gather(CudaTensor tensor, int row, long floats) {
    long address = tensor.address() + (long) row * tensor.stride() * Float.BYTES;
    parts.reserve(rank.size() * floats * Float.BYTES);
    exchange.allGather(parts.address(), address, floats * Float.BYTES);
    return address;
  }

  @Override
  public void watch() {
    DeviceWatch known = watch;
    if (known == null) {
      watch = known = new DeviceWatch(driver.milestone(), rank, meeting);
    }
    known.extend();
  }

  /** Behind what is queued: others may still wait for what this device was to send. */
  @Override
  public void close() {
    try {
      driver.synchronize();
    } catch (CudaException failed) {
      LOG.debug("{} is closed after its device failed", rank, failed); // which was told then
    } finally {
      exchange.close();
      if (watch != null) {
        watch.close();
      }
    }
  }
}
