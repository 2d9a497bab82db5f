package io.verdier.engine.backend.cpu;

import static io.verdier.engine.backend.Shapes.requireColumns;
import static io.verdier.engine.backend.Shapes.requireRows;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cpu.MatmulJob.Epilogue;
import io.verdier.engine.backend.cpu.PackedMatrix.Layout;
import io.verdier.engine.backend.cpu.PackedMatrix.RowOrder;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * Computes on the processor in float32. Owned by the executor thread.
 *
 * <p>An operation is a job: rows or tiles in independent units that the pool's threads claim. Every
 * element is computed whole by one unit in a fixed order, so the number of threads cannot be seen.
 * Small jobs run on the calling thread, since waking another costs more than they do.
 */
public final class CpuBackend implements Backend {
  private static final int CHUNK_ROWS = 512;

  /** Multiply-adds below which one thread is as fast as two: some ten microseconds. */
  private static final long SHARED_COST_MIN = 100_000;

  /** Multiply-adds that could be done instead of laying an activation into its block. */
  private static final long LAY_COST = 8;

  /** Which kernels to compute with; results are the same. */
  public enum KernelForm {
    /** Plain loops. */
    SCALAR,
    /** The Vector API from the first call on. */
    VECTOR,
    /** Plain loops until the vector kernels have been compiled. */
    WARMING
  }

  private final ComputePool pool;
  private final Arena weights = Arena.ofShared();
  private final List<CpuKvStorage> storages = new ArrayList<>();
  private final @Nullable KernelWarmup warmup;
  private final PackJob.Scratch[] packing;
  private final MatmulJob matmul;
  private final NormJob norm;
  private final LoraJob lora;
  private final TokenJobs.Embed embed = new TokenJobs.Embed();
  private final TokenJobs.Rope rope = new TokenJobs.Rope();
  private final List<AttendJob> attends = new ArrayList<>();
  private final List<TokenJobs.Store> stores = new ArrayList<>();
  private volatile Kernels kernels = new ScalarKernels();
  private String reason = "";

  /**
   * @param threads compute threads, the caller's included; empty: one per physical core
   */
  public CpuBackend(OptionalInt threads, KernelForm form) {
    int count = threads.orElseGet(CpuTopology::cores);
    if (count < 1) {
      throw new IllegalArgumentException(count + " compute threads; at least 1 is needed.");
    }
    pool = new ComputePool(count);
    packing = new PackJob.Scratch[count];
    Arrays.setAll(packing, i -> new PackJob.Scratch());
    matmul = new MatmulJob(count, kernels);
    norm = new NormJob(count);
    lora = new LoraJob(count);
    warmup = form == KernelForm.WARMING ? new KernelWarmup(this::use) : null;
    if (warmup != null) {
      warmup.start();
    } else if (form == KernelForm.VECTOR) {
      kernels = new VectorKernels();
    }
  }

  @Override
  public int threads() {
    return pool.threads();
  }

  @Override
  public void runOnHost(HostJob job, int units) {
    pool.run(job::run, units);
  }

  /** Changes the kernels, at any moment and from any thread: no result depends on them. */
  void use(Kernels form) {
    kernels = form;
  }

  /** Whether the vector kernels are at work. */
  public boolean isVectorized() {
    return !(kernels instanceof ScalarKernels);
  }

  /** Notes why Java computes, for {@link #description}. */
  CpuBackend because(String why) {
    reason = why;
    return this;
  }

  @Override
  public String description() {
    return "Java kernels, float32" + (reason.isEmpty() ? "" : " (" + reason + ")");
  }

  /** Packed once, they are only read. */
  @Override
  public boolean sharesWeights() {
    return true;
  }

  @Override
  public int chunkRows() {
    return CHUNK_ROWS;
  }

  @Override
  public CpuTensor tensor(int rows, int columns) {
    return new CpuTensor(rows, columns);
  }

  @Override
  public CpuTensor operand(int rows, int columns) {
    return new CpuTensor(rows, columns);
  }

  @Override
  public PackedMatrix matrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return matrix(parts, biases, RowOrder.PLAIN);
  }

  @Override
  public PackedMatrix gateUpMatrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return matrix(parts, biases, RowOrder.GATED);
  }

  private PackedMatrix matrix(
      List<StoredTensor> parts, List<@Nullable StoredTensor> biases, RowOrder order) {
    int columns = parts.getFirst().columns();
    int rows = StoredTensor.stackedRows(parts);
    boolean pairs = columns % 2 == 0 && parts.stream().allMatch(part -> part.dtype() == DType.BF16);
    Layout layout = pairs ? Layout.PAIRS : Layout.FLOATS;
    int tiles = PackedMatrix.tiles(rows, order);
    MemorySegment data =
        NativeMemory.allocate(tiles * PackedMatrix.tileBytes(layout, columns), weights);
    boolean biased = biases.stream().anyMatch(bias -> bias != null);
    float[] start = biased ? new float[tiles * PackedMatrix.TILE_ROWS] : null;
    PackedMatrix matrix = new PackedMatrix(rows, columns, layout, order, data, start);
    if (start != null) {
      fill(start, matrix, parts, biases);
    }
    pool.run(new PackJob(parts, matrix, packing), tiles);
    return matrix;
  }

  /** Lays the parts' biases as the matrix lays their rows. */
  private static void fill(
      float[] start,
      PackedMatrix matrix,
      List<StoredTensor> parts,
      List<@Nullable StoredTensor> biases) {
    float[] stacked = new float[matrix.rows()];
    int at = 0;
    for (int i = 0; i < parts.size(); i++) {
      StoredTensor bias = biases.get(i);
      if (bias != null) {
        float[] values = bias.floats();
        System.arraycopy(values, 0, stacked, at, values.length);
      }
      at += parts.get(i).rows();
    }
    for (int i = 0; i < start.length; i++) {
      int row = matrix.row(i / PackedMatrix.TILE_ROWS, i % PackedMatrix.TILE_ROWS);
      start[i] = row < 0 ? 0f : stacked[row];
    }
  }

  @Override
  public CpuGain gain(StoredTensor vector) {
    return new CpuGain(vector.floats());
  }

  @Override
  public CpuRopeTable ropeTable(double[] inverseFrequencies, double amplitude) {
    return new CpuRopeTable(inverseFrequencies, amplitude);
  }

  @Override
  public CpuKvStorage kvStorage(KvShape shape) {
    CpuKvStorage storage = new CpuKvStorage(shape);
    storages.add(storage);
    return storage;
  }

  @Override
  public void embed(Tensor out, Matrix table, AttentionBatch batch) {
    requireRows(out.rows(), batch.count());
    requireColumns(out.columns(), table.columns());
    embed.run(pool, (CpuTensor) out, (PackedMatrix) table, batch);
  }

  @Override
  public void convert(Operand out, Tensor in) {
    requireRows(out.rows(), in.rows());
    requireColumns(out.columns(), in.columns());
    CpuTensor target = (CpuTensor) out;
    CpuTensor source = (CpuTensor) in;
    for (int i = 0; i < target.rows(); i++) {
      System.arraycopy(source.data, source.at(i), target.data, target.at(i), in.columns());
    }
  }

  @Override
  public void rmsNorm(Operand out, Tensor in, Gain gain, float epsilon) {
    requireRows(out.rows(), in.rows());
    requireColumns(out.columns(), in.columns());
    requireColumns(in.columns(), gain.size());
    norm.run(pool, (CpuTensor) out, (CpuTensor) in, ((CpuGain) gain).values(), epsilon);
  }

  @Override
  public void matmul(Tensor out, Operand in, Matrix weight) {
    requireColumns(out.columns(), weight.rows());
    multiply((CpuTensor) out, in, weight, Epilogue.STORE);
  }

  @Override
  public void matmulAdd(Tensor sum, Operand in, Matrix weight) {
    requireColumns(sum.columns(), weight.rows());
    multiply((CpuTensor) sum, in, weight, Epilogue.ADD);
  }

  @Override
  public void matmulGate(Operand out, Operand in, Matrix gateUp) {
    requireColumns(gateUp.rows(), 2 * out.columns());
    multiply((CpuTensor) out, in, gateUp, Epilogue.GATE);
  }

  @Override
  public CpuLoraSlots loraSlots(LoraShape shape) {
    return new CpuLoraSlots(shape);
  }

  @Override
  public void addLora(Tensor sum, Operand in, LoraTarget target, AttentionBatch batch) {
    Product adapted = target.product();
    requireRows(sum.rows(), batch.count());
    requireRows(in.rows(), batch.count());
    requireColumns(sum.columns(), adapted.rows());
    requireColumns(in.columns(), adapted.columns());
    if (batch.hasAdapters()) {
      lora.rows().find(target, batch);
      lora.add((CpuTensor) sum, (CpuTensor) in);
      pool.run(lora, lora.rows().pieces());
    }
  }

  @Override
  public void addLora(Tensor sum, LoraTarget target, AttentionBatch batch) {
    requireRows(sum.rows(), batch.count());
    requireColumns(sum.columns(), target.product().rows());
    if (batch.hasAdapters()) {
      lora.rows().find(target, batch);
      lora.add((CpuTensor) sum, batch);
      pool.run(lora, lora.rows().pieces());
    }
  }

  @Override
  public void matmulGate(
      Operand out, Operand in, Matrix gateUp, LoraTarget target, AttentionBatch batch) {
    Product adapted = target.product();
    requireRows(in.rows(), batch.count());
    requireColumns(in.columns(), adapted.columns());
    requireColumns(gateUp.rows(), adapted.rows());
    requireColumns(gateUp.rows(), 2 * out.columns());
    CpuTensor gated = (CpuTensor) out;
    requireRows(gated.rows(), in.rows());
    matmul.target(gated.data, gated.at(0), gated.stride, Epilogue.GATE);
    if (batch.hasAdapters()) {
      lora.rows().find(target, batch);
      float[] addend = lora.leave(gateUp.rows(), (CpuTensor) in);
      pool.run(lora, lora.rows().pieces());
      matmul.addend(addend, lora.rows().places());
    }
    multiply((CpuTensor) in, (PackedMatrix) gateUp);
  }

  @Override
  public void logits(float[] out, Operand in, Matrix weight) {
    requireColumns(Math.min(out.length, in.rows() * weight.rows()), in.rows() * weight.rows());
    matmul.target(out, 0, weight.rows(), Epilogue.STORE);
    multiply((CpuTensor) in, (PackedMatrix) weight);
  }

  @Override
  public void logits(
      float[] out, Operand in, Matrix weight, LoraTarget target, AttentionBatch batch) {
    requireRows(in.rows(), batch.count());
    requireColumns(in.columns(), target.product().columns());
    requireColumns(weight.rows(), target.product().rows());
    logits(out, in, weight);
    if (batch.hasAdapters()) {
      lora.rows().find(target, batch);
      lora.add(out, weight.rows(), (CpuTensor) in);
      pool.run(lora, lora.rows().pieces());
    }
  }

  private void multiply(CpuTensor out, Operand in, Matrix weight, Epilogue epilogue) {
    requireRows(out.rows(), in.rows());
    matmul.target(out.data, out.at(0), out.stride, epilogue);
    multiply((CpuTensor) in, (PackedMatrix) weight);
  }

  private void multiply(CpuTensor in, PackedMatrix weight) {
    requireColumns(in.columns(), weight.columns());
    if (in.rows() == 0) {
      return;
    }
    matmul.prepare(kernels, in, weight);
    long layCost = LAY_COST * in.rows() * in.columns();
    matmul.blocks().ifPresent(blocks -> share(blocks, blocks.units(), layCost));
    share(matmul, matmul.units(), matmul.cost());
  }

  private void share(ComputePool.Job job, int units, long cost) {
    if (cost < SHARED_COST_MIN) {
      pool.runAlone(job, units);
    } else {
      pool.run(job, units);
    }
  }

  @Override
  public void rotateAndStore(
      Projection projection,
      Rotation rotation,
      KvStorage storage,
      int layer,
      AttentionBatch batch) {
    KvShape shape = storage.shape();
    CpuTensor keys = (CpuTensor) projection.keys();
    CpuTensor values = (CpuTensor) projection.values();
    requireRows(values.rows(), batch.count());
    requireColumns(keys.columns(), shape.heads() * shape.headDim());
    requireColumns(values.columns(), keys.columns());
    rotate((CpuTensor) projection.queries(), rotation, rotation.queryNorm(), batch);
    rotate(keys, rotation, rotation.keyNorm(), batch);
    store((CpuKvStorage) storage).run(pool, layer, keys, values, batch);
  }

  private void rotate(
      CpuTensor heads, Rotation rotation, @Nullable Gain gain, AttentionBatch batch) {
    CpuRopeTable table = (CpuRopeTable) rotation.table();
    requireRows(heads.rows(), batch.count());
    requireColumns(heads.columns() % table.headDim(), 0);
    if (gain != null) {
      requireColumns(gain.size(), table.headDim());
      norm.run(pool, heads, heads, ((CpuGain) gain).values(), rotation.epsilon());
    }
    rope.run(pool, heads, table, batch);
  }

  private TokenJobs.Store store(CpuKvStorage storage) {
    int index = storages.indexOf(storage);
    while (stores.size() <= index) {
      stores.add(new TokenJobs.Store(storages.get(stores.size())));
    }
    return stores.get(index);
  }

  @Override
  public void attend(
      Operand out,
      Projection projection,
      KvStorage storage,
      Attention attention,
      AttentionBatch batch) {
    Tensor queries = projection.queries();
    KvShape shape = storage.shape();
    requireRows(queries.rows(), batch.count());
    requireRows(out.rows(), batch.count());
    requireColumns(out.columns(), queries.columns());
    requireColumns(queries.columns() % (shape.heads() * shape.headDim()), 0);
    AttendJob job = attendJob((CpuKvStorage) storage, queries.columns() / shape.headDim());
    job.prepare(kernels, (CpuTensor) out, (CpuTensor) queries, attention, batch);
    share(job, job.units(), job.cost());
  }

  private AttendJob attendJob(CpuKvStorage storage, int queryHeads) {
    for (AttendJob job : attends) {
      if (job.storage() == storage && job.queryHeads() == queryHeads) {
        return job;
      }
    }
    AttendJob job = new AttendJob(pool.threads(), storage, queryHeads, kernels);
    attends.add(job);
    return job;
  }

  @Override
  public void gather(Tensor out, Tensor in, int[] rows, int from) {
    requireColumns(out.columns(), in.columns());
    CpuTensor target = (CpuTensor) out;
    CpuTensor source = (CpuTensor) in;
    for (int i = 0; i < target.rows(); i++) {
      System.arraycopy(
          source.data, source.atAbsolute(rows[from + i]), target.data, target.at(i), in.columns());
    }
  }

  @Override
  public void read(float[] out, Tensor in) {
    CpuTensor source = (CpuTensor) in;
    for (int i = 0; i < source.rows(); i++) {
      System.arraycopy(source.data, source.at(i), out, i * in.columns(), in.columns());
    }
  }

  @Override
  public void write(Tensor out, float[] in) {
    CpuTensor target = (CpuTensor) out;
    for (int i = 0; i < target.rows(); i++) {
      System.arraycopy(in, i * out.columns(), target.data, target.at(i), out.columns());
    }
  }

  @Override
  public Collectives collectives(Rank rank, Meeting meeting) {
    return new CpuCollectives(rank, meeting);
  }

  @Override
  public void close() {
    if (warmup != null) {
      warmup.cancel();
    }
    pool.close();
    storages.forEach(CpuKvStorage::close);
    storages.clear();
    stores.clear();
    attends.clear();
    weights.close();
  }

  /** A vector on the heap. */
  record CpuGain(float[] values) implements Gain {
    @Override
    public int size() {
      return values.length;
    }
  }
}
