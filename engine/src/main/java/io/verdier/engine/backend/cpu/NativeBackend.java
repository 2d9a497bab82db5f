package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.PackedPlace;
import io.verdier.engine.backend.Probe;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cpu.NativeLora.Addend;
import io.verdier.engine.backend.cpu.NativeMatmul.Epilogue;
import io.verdier.engine.backend.cpu.NativeMatrix.RowOrder;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Computes on the processor with C kernels: products in bfloat16, or in bytes with quantized
 * weights; sums and what lies between in float32; a bfloat16 cache. Owned by the executor thread.
 *
 * <p>As in {@link CpuBackend} an operation is a job in independent units that the pool's threads
 * claim. Java keeps shapes, memory and threads, and checks both once per call; the loops are in
 * {@code src/main/c}.
 */
final class NativeBackend implements Backend {
  private static final int CHUNK_ROWS = 512;
  private static final int ROWS_FIELDS = 10;
  private static final int EMBED_FIELDS = 8;
  private static final long ELEMENTS_PER_UNIT = 16_384;

  private final KernelLibrary library;
  private final String reason;
  private final WeightFormat format;
  private final ComputePool pool;
  private final Arena arena = Arena.ofShared();
  private final PackedWeights kept;
  private final NativePacker packer;
  private final NativeMatmul matmul;
  private final NativeAttend attention;
  private final NativeLora lora;
  private final NativeJob rows;
  private final NativeJob embed;
  private final List<NativeKvStorage> storages = new ArrayList<>();
  private MemorySegment tokens = MemorySegment.NULL; // [rows] s32
  private NativeTensor product; // of logits
  private NativeTensor attended; // where heads are no whole groups of an operand

  /**
   * @param format of all weights
   * @param reason why this level, in a few words
   */
  NativeBackend(KernelLibrary library, WeightFormat format, int threads, String reason) {
    this(library, format, threads, reason, PackedWeights.BYTES_MIN);
  }

  /**
   * @param keptBytesMin as {@link PackedWeights}
   */
  NativeBackend(
      KernelLibrary library, WeightFormat format, int threads, String reason, long keptBytesMin) {
    this.library = library;
    this.reason = reason;
    this.format = format;
    NextWeights next = new NextWeights(library::prefetch, threads);
    pool = new ComputePool(threads, next);
    kept = new PackedWeights(library, format, pool, keptBytesMin);
    packer = new NativePacker(library, pool, arena, kept);
    matmul = new NativeMatmul(library, pool, next, arena);
    attention = new NativeAttend(library, pool, arena);
    lora = new NativeLora(library, pool, arena);
    rows = new NativeJob(library.rows, ROWS_FIELDS, arena);
    embed = new NativeJob(library.embed, EMBED_FIELDS, arena);
    product = new NativeTensor(0, 0, arena);
    attended = product;
  }

  @Override
  public String description() {
    return library.level().word() + " kernels, " + format.words() + " weights (" + reason + ")";
  }

  @Override
  public int threads() {
    return pool.threads();
  }

  @Override
  public void runOnHost(HostJob job, int units) {
    pool.run(job::run, units);
  }

  @Override
  public Optional<Probe> probe() {
    return Optional.of(limits());
  }

  NativeProbe limits() {
    return new NativeProbe(library, format, pool);
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
  public String kvCacheType() {
    return "bfloat16";
  }

  @Override
  public long kvTokenBytes(int layers, int heads, int headDim) {
    return 2L * layers * heads * headDim * Short.BYTES;
  }

  @Override
  public NativeTensor tensor(int rowCount, int columns) {
    return new NativeTensor(rowCount, columns, arena);
  }

  @Override
  public NativeOperand operand(int rowCount, int columns) {
    return new NativeOperand(format.operand(), rowCount, columns, arena);
  }

  @Override
  public <T> T takeOver(Optional<PackedPlace> place, Supplier<T> weights) {
    return kept.during(place, weights);
  }

  @Override
  public void releaseWeights() {
    kept.release();
  }

  @Override
  public void recallWeights() {
    kept.recall();
  }

  PackedWeights kept() {
    return kept;
  }

  @Override
  public NativeMatrix matrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return packer.pack(format, parts, biases, RowOrder.PLAIN);
  }

  @Override
  public NativeMatrix gateUpMatrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return packer.pack(format, parts, biases, RowOrder.GATED);
  }

  @Override
  public NativeGain gain(StoredTensor vector) {
    float[] values = vector.floats();
    MemorySegment data = arena.allocate(Math.max(1, values.length) * 4L, 64);
    MemorySegment.copy(values, 0, data, ValueLayout.JAVA_FLOAT, 0, values.length);
    return new NativeGain(data, values.length);
  }

  @Override
  public NativeRopeTable ropeTable(double[] inverseFrequencies, double amplitude) {
    return new NativeRopeTable(new CpuRopeTable(inverseFrequencies, amplitude), arena);
  }

  @Override
  public NativeKvStorage kvStorage(KvShape shape) {
    NativeKvStorage storage = new NativeKvStorage(shape);
    storages.add(storage);
    return storage;
  }

  @Override
  public void embed(Tensor out, Matrix table, AttentionBatch batch) {
    require(out.rows(), batch.count(), "rows");
    require(out.columns(), table.columns(), "columns");
    NativeTensor target = (NativeTensor) out;
    NativeMatrix matrix = (NativeMatrix) table;
    int count = batch.count();
    if (count * 4L > tokens.byteSize()) {
      tokens = arena.allocate(count * 8L, 64);
    }
    for (int i = 0; i < count; i++) {
      int token = batch.token(batch.first() + i);
      if (token < 0 || token >= matrix.rows()) {
        throw new IllegalStateException("token " + token + " of " + matrix.rows());
      }
      tokens.setAtIndex(ValueLayout.JAVA_INT, i, token);
    }
    long perUnit = rowsPerUnit(out.columns());
    embed
        .args
        .start()
        .put(target.address())
        .put((long) target.stride())
        .put((long) target.columns())
        .put(matrix.data().address())
        .put(matrix.format().code())
        .put(tokens.address())
        .put((long) count)
        .put(perUnit)
        .end();
    pool.run(embed, (int) ((count + perUnit - 1) / perUnit));
  }

  private static long rowsPerUnit(int columns) {
    return Math.max(1, ELEMENTS_PER_UNIT / columns);
  }

  @Override
  public void rmsNorm(Operand out, Tensor in, Gain gain, float epsilon) {
    require(in.columns(), gain.size(), "columns");
    toOperand(out, in, ((NativeGain) gain).data().address(), epsilon);
  }

  @Override
  public void convert(Operand out, Tensor in) {
    toOperand(out, in, 0, 0);
  }

  private void toOperand(Operand out, Tensor in, long gain, float epsilon) {
    require(out.rows(), in.rows(), "rows");
    require(out.columns(), in.columns(), "columns");
    NativeTensor source = (NativeTensor) in;
    long perUnit = rowsPerUnit(in.columns());
    rows.args
        .start()
        .put(((NativeOperand) out).written())
        .put(source.address())
        .put((long) source.stride())
        .put((long) source.columns())
        .put(gain)
        .put((double) epsilon)
        .put(perUnit)
        .end();
    pool.run(rows, (int) ((in.rows() + perUnit - 1) / perUnit));
  }

  @Override
  public void matmul(Tensor out, Operand in, Matrix weight) {
    multiply(out, in, weight, Epilogue.STORE);
  }

  @Override
  public void matmulAdd(Tensor sum, Operand in, Matrix weight) {
    multiply(sum, in, weight, Epilogue.ADD);
  }

  private void multiply(Tensor out, Operand in, Matrix weight, Epilogue epilogue) {
    require(out.rows(), in.rows(), "rows");
    require(in.columns(), weight.columns(), "columns");
    require(out.columns(), weight.rows(), "columns");
    NativeMatrix matrix = requireOrder(weight, RowOrder.PLAIN);
    matmul.multiply((NativeOperand) in, matrix, epilogue, (NativeTensor) out);
  }

  @Override
  public void matmulGate(Operand out, Operand in, Matrix gateUp) {
    gate(out, in, gateUp, Addend.NONE);
  }

  private void gate(Operand out, Operand in, Matrix gateUp, Addend addend) {
    require(out.rows(), in.rows(), "rows");
    require(in.columns(), gateUp.columns(), "columns");
    require(gateUp.rows(), 2 * out.columns(), "columns");
    NativeMatrix matrix = requireOrder(gateUp, RowOrder.GATED);
    matmul.gate((NativeOperand) in, matrix, (NativeOperand) out, addend);
  }

  @Override
  public CpuLoraSlots loraSlots(LoraShape shape) {
    return new CpuLoraSlots(shape);
  }

  @Override
  public void addLora(Tensor sum, Operand in, LoraTarget target, AttentionBatch batch) {
    require(sum.rows(), batch.count(), "rows");
    require(sum.columns(), target.product().rows(), "columns");
    if (adapts(in, target, batch)) {
      lora.add((NativeTensor) sum, (NativeOperand) in);
    }
  }

  @Override
  public void addLora(Tensor sum, LoraTarget target, AttentionBatch batch) {
    require(sum.rows(), batch.count(), "rows");
    require(sum.columns(), target.product().rows(), "columns");
    if (adapts(target, batch)) {
      lora.add((NativeTensor) sum, batch);
    }
  }

  @Override
  public void matmulGate(
      Operand out, Operand in, Matrix gateUp, LoraTarget target, AttentionBatch batch) {
    require(gateUp.rows(), target.product().rows(), "rows");
    Addend addend = Addend.NONE;
    if (adapts(in, target, batch)) {
      addend = lora.addend(gateUp.rows(), (NativeOperand) in);
    }
    gate(out, in, gateUp, addend);
  }

  /** Whether adapters add to any of the rows. */
  private boolean adapts(Operand in, LoraTarget target, AttentionBatch batch) {
    require(in.rows(), batch.count(), "rows");
    require(in.columns(), target.product().columns(), "columns");
    return adapts(target, batch);
  }

  private boolean adapts(LoraTarget target, AttentionBatch batch) {
    if (!batch.hasAdapters()) {
      return false;
    }
    lora.rows().find(target, batch);
    return lora.rows().count() > 0;
  }

  @Override
  public void logits(float[] out, Operand in, Matrix weight) {
    int columns = weight.rows();
    require(in.columns(), weight.columns(), "columns");
    require(Math.min(out.length, in.rows() * columns), in.rows() * columns, "floats");
    product = fitting(product, in.rows(), columns);
    NativeMatrix matrix = requireOrder(weight, RowOrder.PLAIN);
    matmul.toHeap((NativeOperand) in, matrix, product, out);
  }

  /** Rows with an adapter go to the heap twice, which is little beside their additions. */
  @Override
  public void logits(
      float[] out, Operand in, Matrix weight, LoraTarget target, AttentionBatch batch) {
    int columns = weight.rows();
    require(columns, target.product().rows(), "rows");
    logits(out, in, weight);
    if (adapts(in, target, batch)) {
      lora.add(product, (NativeOperand) in);
      for (int place = 0; place < lora.rows().count(); place++) {
        int row = lora.rows().row(place);
        product.copyOut(row, 0, out, row * columns, columns);
      }
    }
  }

  /** The tensor if it is large enough, else one that is. */
  private NativeTensor fitting(NativeTensor tensor, int rowCount, int columns) {
    boolean fits = tensor.columns() == columns && tensor.rowsMax() >= rowCount;
    NativeTensor found = fits ? tensor : new NativeTensor(rowCount, columns, arena);
    found.select(0, rowCount);
    return found;
  }

  private static NativeMatrix requireOrder(Matrix weight, RowOrder order) {
    NativeMatrix matrix = (NativeMatrix) weight;
    if (matrix.order() != order) {
      throw new IllegalStateException(matrix.order() + " matrix where " + order + " is needed");
    }
    return matrix;
  }

  @Override
  public void rotateAndStore(
      Projection projection,
      Rotation rotation,
      KvStorage storage,
      int layer,
      AttentionBatch batch) {
    KvShape shape = storage.shape();
    int headDim = shape.headDim();
    require(projection.queries().rows(), batch.count(), "rows");
    require(projection.keys().rows(), batch.count(), "rows");
    require(projection.values().rows(), batch.count(), "rows");
    require(projection.keys().columns(), shape.heads() * headDim, "columns");
    require(projection.values().columns(), shape.heads() * headDim, "columns");
    require(projection.queries().columns() % headDim, 0, "columns");
    require(rotation.table().headDim(), headDim, "columns");
    attention.rotateAndStore(
        projection,
        rotation,
        gainOfHead(rotation.queryNorm(), headDim),
        gainOfHead(rotation.keyNorm(), headDim),
        (NativeKvStorage) storage,
        layer,
        batch);
  }

  private static long gainOfHead(@Nullable Gain gain, int headDim) {
    if (gain == null) {
      return 0;
    }
    require(gain.size(), headDim, "columns");
    return ((NativeGain) gain).data().address();
  }

  @Override
  public void attend(
      Operand out, Projection projection, KvStorage storage, Attention how, AttentionBatch batch) {
    NativeTensor queries = (NativeTensor) projection.queries();
    KvShape shape = storage.shape();
    require(queries.rows(), batch.count(), "rows");
    require(out.rows(), batch.count(), "rows");
    require(out.columns(), queries.columns(), "columns");
    require(queries.columns() % (shape.heads() * shape.headDim()), 0, "columns");
    NativeOperand target = (NativeOperand) out;
    NativeKvStorage cache = (NativeKvStorage) storage;
    if (target.format() == OperandFormat.BF16 && shape.headDim() % WeightFormat.TILE_ROWS == 0) {
      attention.attend(target, null, queries, cache, how, batch);
      return;
    }
    attended = fitting(attended, out.rows(), out.columns());
    attention.attend(target, attended, queries, cache, how, batch);
    convert(out, attended);
  }

  @Override
  public void gather(Tensor out, Tensor in, int[] wanted, int from) {
    require(out.columns(), in.columns(), "columns");
    for (int i = 0; i < out.rows(); i++) {
      ((NativeTensor) out).copyRow(i, (NativeTensor) in, wanted[from + i]);
    }
  }

  @Override
  public void read(float[] out, Tensor in) {
    for (int i = 0; i < in.rows(); i++) {
      ((NativeTensor) in).copyOut(i, 0, out, i * in.columns(), in.columns());
    }
  }

  @Override
  public void write(Tensor out, float[] in) {
    for (int i = 0; i < out.rows(); i++) {
      ((NativeTensor) out).copyIn(i, in, i * out.columns());
    }
  }

  @Override
  public Collectives collectives(Rank rank, Meeting meeting) {
    return new CpuCollectives(rank, meeting);
  }

  @Override
  public void close() {
    kept.close(); // first: it still reads matrices
    pool.close();
    storages.forEach(NativeKvStorage::close);
    storages.clear();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  private static void require(int actual, int expected, String what) {
    if (actual != expected) {
      throw new IllegalStateException(actual + " " + what + " where " + expected + " are needed");
    }
  }

  /** A vector outside the heap, {@code [size]} f32. */
  record NativeGain(MemorySegment data, int size) implements Gain {}
}
