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
 * <p>NCCL has a sum of its own, but chooses its order by the message's size, and a message grows
 * with the batch: docs/adr/0009 says why that is not for us.
 */
final class CudaCollectives implements Collectives {
  private static final Logger LOG = LoggerFactory.getLogger(CudaCollectives.class);
  private static final int THREADS = 256;
  private static final int VECTOR = 4; // floats that a thread takes at once

  private final CudaDriver driver;
  private final Launch launch;
  private final Rank rank;
  private final Meeting meeting;
  private final DeviceExchange exchange;
  private final DeviceBuffer parts; // [ranks][rows · stride]
  private final CudaDriver.Kernel sum;
  private final CudaDriver.Kernel join;
  private @Nullable DeviceWatch watch; // null: nothing was to be watched yet

  /** Returns when all ranks have joined. */
  CudaCollectives(CudaDriver driver, Launch launch, Rank rank, Meeting meeting) {
    this.driver = driver;
    this.launch = launch;
    this.rank = rank;
    this.meeting = meeting;
    exchange = driver.exchange(rank, meeting);
    parts = new DeviceBuffer(driver);
    sum = driver.kernel("sum_ranks", 0);
    join = driver.kernel("join_ranks", 0);
  }

  @Override
  public Rank rank() {
    return rank;
  }

  @Override
  public void allReduceSum(Tensor tensor) {
    CudaTensor target = (CudaTensor) tensor;
    long elements = gather(target);
    if (elements == 0) {
      return;
    }
    long blocks = (elements / VECTOR + THREADS - 1) / THREADS;
    launch
        .grid(Math.toIntExact(blocks), THREADS)
        .pointer(target.address())
        .pointer(parts.address())
        .integer64(elements)
        .integer(rank.size());
    driver.launch(sum, launch);
  }

  @Override
  public void allGather(Tensor out, Tensor part) {
    requireRows(out.rows(), part.rows());
    requireColumns(out.columns(), rank.size() * part.columns());
    CudaTensor from = (CudaTensor) part;
    CudaTensor to = (CudaTensor) out;
    long elements = gather(from);
    if (elements == 0) {
      return;
    }
    launch
        .grid(from.rows(), (from.columns() + THREADS - 1) / THREADS, rank.size(), THREADS)
        .pointer(to.address())
        .integer(to.stride())
        .pointer(parts.address())
        .integer64(elements)
        .integer(from.stride())
        .integer(from.columns());
    driver.launch(join, launch);
  }

  /** Brings the selected rows of all ranks here, padding included; returns floats of each. */
  private long gather(CudaTensor tensor) {
    if (!tensor.isDense()) {
      throw new IllegalStateException("some columns of a tensor cannot be exchanged");
    }
    long elements = (long) tensor.rows() * tensor.stride();
    if (elements > 0) {
      parts.reserve(rank.size() * elements * Float.BYTES);
      exchange.allGather(parts.address(), tensor.address(), elements * Float.BYTES);
    }
    return elements;
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
