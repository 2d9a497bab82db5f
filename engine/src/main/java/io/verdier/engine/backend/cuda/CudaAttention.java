package io.verdier.engine.backend.cuda;

import static io.verdier.engine.backend.Shapes.requireColumns;
import static io.verdier.engine.backend.Shapes.requireRows;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.Gain;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.Backend.Projection;
import io.verdier.engine.backend.Backend.Rotation;
import org.jspecify.annotations.Nullable;

/**
 * Rotation, cache and attention of one KV storage: what {@code attention.cu} is launched with.
 * Owned by the executor thread.
 *
 * <p>Rows with few tokens of their sequence go to the decode kernel, rows of long slices to the
 * prefill kernel, and steps of one token a sequence to a decode kernel that rotates and stores as
 * well. All three give the same bits.
 */
final class CudaAttention {
  private static final int HEAD_THREADS = 256; // a warp works on a head
  private static final int HEADS_PER_BLOCK = HEAD_THREADS / 32;
  private static final int PREFILL_THREADS = 128;
  private static final int PREFILL_TOTALS_BYTES = 2 * PREFILL_THREADS * Float.BYTES;
  private static final int FOLD_THREADS = 128;
  private static final int FOLD_BLOCKS_MAX = 1024;

  /** Partial results may take one part in so many of the device: on 80 GB, of 600k tokens. */
  private static final int RECORDS_SHARE = 512;

  private static final int STATE_BYTES = 2 * Float.BYTES;

  private static final double LOG2_E = 1.4426950408889634;

  private final CudaDriver driver;
  private final Launch launch;
  private final CudaKvStorage storage;
  private final CudaBatch batches;
  private final Runnable onMove;
  private final int paddedDim;
  private final int prefillSharedBytes;
  private final CudaDriver.Kernel rotateStore;
  private final CudaDriver.Kernel decode;
  private final CudaDriver.Kernel rotateAttend;
  private final CudaDriver.Kernel fold;
  private final CudaDriver.Kernel prefill;
  private final DeviceBuffer queries; // bf16 [rows][heads][paddedDim]
  private final DeviceBuffer partialSums; // f32 [records][paddedDim]
  private final DeviceBuffer partialStates; // f32 pairs [records]
  private final DeviceBuffer arrivals; // int [rows][heads], zero between kernels

  /**
   * @param clock of the device's steps
   * @param onMove called when a buffer is about to have another address
   */
  CudaAttention(
      CudaDriver driver, Launch launch, CudaKvStorage storage, CudaClock clock, Runnable onMove) {
    this.driver = driver;
    this.launch = launch;
    this.storage = storage;
    this.onMove = onMove;
    KvShape shape = storage.shape();
    paddedDim = storage.paddedHeadDim();
    queries = new DeviceBuffer(driver);
    partialSums = new DeviceBuffer(driver);
    partialStates = new DeviceBuffer(driver);
    arrivals = new DeviceBuffer(driver);
    int tileRows = paddedDim == 256 ? 64 : 128;
    prefillSharedBytes = (tileRows + 4 * AttentionWork.CHUNK_TOKENS) * paddedDim * Short.BYTES;
    CudaDriver.Device device = driver.device();
    int totalBytes = device.features().wgmma() ? 0 : tileRows / 64 * PREFILL_TOTALS_BYTES;
    requireShared(prefillSharedBytes + totalBytes, device);
    int recordsMax = recordsMax(shape, device.memoryBytes());
    AttentionWork work =
        new AttentionWork(
            shape.queryHeads(), shape.heads(), tileRows, device.multiprocessors(), recordsMax);
    batches = new CudaBatch(driver, shape, work, clock, onMove);
    CacheFormat format = storage.format();
    String variant = format.kernelPart() + paddedDim;
    rotateStore = driver.kernel(format == CacheFormat.FP8 ? "rotate_store_fp8" : "rotate_store", 0);
    decode = driver.kernel("attend_decode_" + variant, 0);
    rotateAttend = driver.kernel("rotate_attend_" + variant, 0);
    fold = driver.kernel("attend_fold_" + paddedDim, 0);
    prefill = driver.kernel("attend_prefill_" + variant, prefillSharedBytes);
    partialSums.reserve((long) recordsMax * paddedDim * Float.BYTES);
    partialStates.reserve((long) recordsMax * STATE_BYTES);
  }

  /** Heads of more than 128 dimensions need what only data center GPUs have. */
  private void requireShared(int bytes, CudaDriver.Device device) {
    if (bytes > device.sharedBytesMax()) {
      throw new CudaException(
          "heads of %d dimensions need %d KB of shared memory; a block has %d KB on %s (%s). This model does not run on this GPU; --backend cpu serves it."
              .formatted(
                  storage.shape().headDim(),
                  bytes >> 10,
                  device.sharedBytesMax() >> 10,
                  device.name(),
                  device.architecture()));
    }
  }

  /**
   * All that a full cache can need, as long as that is little beside the device: sequences that
   * share a prefix could need any multiple of it. Never more, so that no step runs out of memory.
   */
  private int recordsMax(KvShape shape, long memoryBytes) {
    long chunks = (long) shape.blocks() * shape.blockTokens() / AttentionWork.CHUNK_TOKENS + 1;
    long affordable = memoryBytes / RECORDS_SHARE / ((long) paddedDim * Float.BYTES + STATE_BYTES);
    return (int) Math.min(chunks * shape.heads() * AttentionWork.DECODE_TILE_ROWS, affordable);
  }

  CudaBatch batches() {
    return batches;
  }

  /**
   * @param gridRows rows for which the grid has room
   */
  void rotateAndStore(
      Projection projection, Rotation rotation, int layer, AttentionBatch batch, int gridRows) {
    require(projection, rotation, batch);
    prepare(batch);
    StepInputs inputs = batches.on(batch);
    KvShape shape = storage.shape();
    CudaTensor all = (CudaTensor) projection.all();
    ((CudaRopeTable) rotation.table()).require(batch); // which launches a kernel of its own
    int vectors = shape.queryHeads() + 2 * shape.heads();
    launch
        .grid(gridRows, (vectors + HEADS_PER_BLOCK - 1) / HEADS_PER_BLOCK, 1, HEAD_THREADS)
        .pointer(all.address())
        .integer(all.stride())
        .pointer(queries.address())
        .pointer(storage.layer(layer));
    rotation(rotation)
        .pointer(inputs.counts())
        .pointer(inputs.positions())
        .pointer(inputs.slots())
        .integer(shape.queryHeads())
        .integer(shape.heads())
        .integer(shape.headDim())
        .integer(paddedDim)
        .integer(shape.blockTokens());
    driver.launch(rotateStore, launch);
  }

  private void require(Projection projection, Rotation rotation, AttentionBatch batch) {
    KvShape shape = storage.shape();
    requireRows(projection.all().rows(), batch.count());
    requireRows(batch.count(), batch.rows());
    requireColumns(projection.queries().columns(), shape.queryHeads() * shape.headDim());
    requireColumns(projection.keys().columns(), shape.heads() * shape.headDim());
    requireColumns(rotation.table().headDim(), shape.headDim());
  }

  private Launch rotation(Rotation rotation) {
    return launch
        .pointer(((CudaRopeTable) rotation.table()).address())
        .pointer(address(rotation.queryNorm()))
        .pointer(address(rotation.keyNorm()))
        .number(rotation.epsilon());
  }

  private static long address(@Nullable Gain gain) {
    return gain == null ? 0 : ((CudaGain) gain).address();
  }

  /**
   * Has the batch on the device, and room for everything that it will leave there. Must come before
   * a capture or a replay: neither allocates.
   */
  void prepare(AttentionBatch batch) {
    batches.on(batch);
    reserveRows(batch.rowsMax());
  }

  private void reserveRows(int rows) {
    long rowBytes = (long) storage.shape().queryHeads() * paddedDim * Short.BYTES;
    queries.reserve(rows * rowBytes, onMove);
    arrivals.reserve((long) rows * storage.shape().heads() * Integer.BYTES, onMove);
  }

  /** Attends to what {@link #rotateAndStore} has left. */
  void attend(CudaOperand out, Attention attention, AttentionBatch batch) {
    StepInputs inputs = batches.on(batch);
    AttentionWork work = batches.work();
    int tiles = work.tiles().count();
    int items = work.items().count();
    if (tiles > 0) {
      begin(tiles, PREFILL_THREADS).shared(prefillSharedBytes);
      launch.pointer(queries.address()).pointer(storage.layer(attention.layer()));
      launch.pointer(inputs.tables()).pointer(inputs.tiles()).pointer(inputs.counts());
      finish(out, attention);
      driver.launch(prefill, launch);
    }
    if (items > 0) {
      begin(items, paddedDim).pointer(queries.address());
      launchItems(decode, inputs, out, attention);
    }
    launchFold(work.folds().count(), inputs, out, attention);
  }

  /**
   * Rotates, stores and attends at once.
   *
   * @param batch whose slices are all of one row
   * @param captured the decode steps that a graph is captured for
   */
  void rotateStoreAttend(
      CudaOperand out,
      Projection projection,
      Rotation rotation,
      Attention attention,
      AttentionBatch batch,
      StepGraphs.Form captured) {
    require(projection, rotation, batch);
    prepare(batch);
    StepInputs inputs = batches.on(batch);
    AttentionWork work = batches.work();
    CudaTensor all = (CudaTensor) projection.all();
    ((CudaRopeTable) rotation.table()).require(batch); // which launches a kernel of its own
    boolean isCaptured = captured.rows() > 0;
    int items = isCaptured ? work.itemsMax(captured.rows()) : work.items().count();
    begin(items, paddedDim).pointer(all.address()).integer(all.stride());
    rotation(rotation);
    launchItems(rotateAttend, inputs, out, attention);
    int capturedFolds = captured.folds() ? captured.rows() : 0;
    launchFold(isCaptured ? capturedFolds : work.folds().count(), inputs, out, attention);
  }

  private Launch begin(int work, int threads) {
    return launch.grid(storage.shape().heads(), work, 1, threads);
  }

  private void launchItems(
      CudaDriver.Kernel kernel, StepInputs inputs, CudaOperand out, Attention attention) {
    launch
        .pointer(storage.layer(attention.layer()))
        .pointer(inputs.tables())
        .pointer(inputs.items())
        .pointer(inputs.counts())
        .pointer(arrivals.address())
        .pointer(partialSums.address())
        .pointer(partialStates.address());
    finish(out, attention);
    driver.launch(kernel, launch);
  }

  /** Brings together what the items have left of long contexts. */
  private void launchFold(int folds, StepInputs inputs, CudaOperand out, Attention attention) {
    if (folds == 0) {
      return;
    }
    long jobs = (long) folds * storage.shape().queryHeads() * paddedDim / 32;
    launch.grid((int) Math.min(jobs, FOLD_BLOCKS_MAX), FOLD_THREADS);
    launch.pointer(partialSums.address()).pointer(partialStates.address());
    launch.pointer(inputs.folds()).pointer(inputs.counts());
    target(out).integer(attention.window());
    driver.launch(fold, launch);
  }

  private Launch target(CudaOperand out) {
    KvShape shape = storage.shape();
    return launch
        .pointer(out.address())
        .integer(out.paddedRows())
        .integer(shape.queryHeads())
        .integer(shape.heads())
        .integer(shape.headDim());
  }

  /** The arguments with which the kernels that attend end. */
  private void finish(CudaOperand out, Attention attention) {
    target(out)
        .integer(storage.shape().blockTokens())
        .integer(attention.window())
        .number((float) (attention.scale() * LOG2_E));
  }
}
