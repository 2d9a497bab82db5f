package io.verdier.engine.backend.cuda;

import static io.verdier.engine.backend.Shapes.requireColumns;
import static io.verdier.engine.backend.Shapes.requireRows;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.DeviceClock;
import io.verdier.engine.backend.DeviceMemory;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraTarget;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.PackedPlace;
import io.verdier.engine.backend.Probe;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cuda.CudaLora.Addend;
import io.verdier.engine.backend.cuda.CudaLora.Tokens;
import io.verdier.engine.backend.cuda.CudaMatmul.Epilogue;
import io.verdier.engine.backend.cuda.CudaMatrix.RowOrder;
import io.verdier.engine.backend.cuda.Ranges.Kind;
import io.verdier.engine.backend.cuda.StepGraphs.Form;
import io.verdier.engine.weights.StoredTensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Computes on a GPU: weights, operands and cache in bfloat16 (or weights and cache in eight bits),
 * sums and the residual in float32. Owned by the executor thread; the loading thread may create it
 * and load.
 *
 * <p>An operation is a launch or two, queued without waiting; only those wait that bring something
 * to the host, or from its heap. A step of one row a sequence is captured once and then repeated as
 * a whole. Kernels read from device memory how many rows there are: a graph of eight serves seven.
 *
 * <p>Batch invariance: every matmul kernel sums an output in one order, attention folds chunks of
 * 64 keys in one order, and the kernels for one row and for many share these to the bit.
 */
public final class CudaBackend implements Backend {
  /** Steps of more rows are launched operation by operation: they take long enough. */
  private static final int GRAPH_ROWS_MAX = 512;

  private final CudaDriver driver;
  private final Options options;
  private final Ranges ranges;
  private final Arena arena = Arena.ofShared();
  private final Launch launch;
  private final CudaWeights weights;
  private final CudaMatmul matmul;
  private final CudaRows rows;
  private final StepGraphs graphs;
  private final CudaAdapters adapters;
  private final List<CudaRopeTable> tables = new ArrayList<>();
  private final List<CudaKvStorage> storages = new ArrayList<>();
  private final List<CudaAttention> attentions = new ArrayList<>(); // of the storages
  final CudaLogits logits;
  private final CudaClock clock;
  private @Nullable KvStorage stepped; // whose steps are captured
  private int tokensMax = Integer.MAX_VALUE; // rows of the embedding that was last used
  private @Nullable StepInputs stepInputs; // of the step that is running

  /**
   * @param eager every operation is launched by itself, in every step
   * @param weights format in which matrices are kept, those of the vocabulary perhaps more exactly
   * @param cache format in which keys and values are kept
   * @param memoryShare of the device's memory that weights, activations and cache may take together
   */
  public record Options(
      boolean eager, WeightFormat weights, CacheFormat cache, double memoryShare) {

    /** Graphs, weights and cache in bfloat16. */
    public static Options defaults() {
      return new Options(false, WeightFormat.BF16, CacheFormat.BF16, 0.92);
    }

    /** The same with another cache. */
    public Options with(CacheFormat format) {
      return new Options(eager, weights, format, memoryShare);
    }

    /** What the configuration asks for. */
    public static Options of(ServerConfig.Backend config) {
      boolean eager = config.gpu().eager() || config.ranks() > 1; // no captured step has been tried
      return new Options(
          eager,
          WeightFormat.of(config.quantization()),
          CacheFormat.of(config.kvFormat()),
          config.gpu().memoryShare());
    }
  }

  CudaBackend(CudaDriver driver, Options options) {
    this(driver, options, Ranges.NONE);
  }

  /**
   * @param ranges of whoever looks
   */
  CudaBackend(CudaDriver driver, Options options, Ranges ranges) {
    this.driver = driver;
    this.options = options;
    this.ranges = ranges;
    launch = new Launch(arena);
    weights = new CudaWeights(driver, launch);
    matmul = new CudaMatmul(driver, launch, MatmulPlan.Hardware.of(driver.device()));
    rows = new CudaRows(driver, launch, ranges);
    graphs = new StepGraphs(driver, options.eager() ? 0 : GRAPH_ROWS_MAX);
    adapters = new CudaAdapters(driver, launch, graphs, ranges);
    logits = new CudaLogits(driver);
    clock = new CudaClock(driver);
  }

  /** Where the sampler marks what it does. */
  Ranges ranges() {
    return ranges;
  }

  /** How tests look at what an operation has left. */
  CudaDriver driver() {
    return driver;
  }

  @Override
  public String description() {
    CudaDriver.Device device = driver.device();
    return "%s (%s, %d GiB), weights %s%s%s"
        .formatted(
            device.name(),
            device.architecture(),
            device.memoryBytes() >> 30,
            options.weights().label(),
            options.cache() == CacheFormat.FP8 ? ", cache fp8" : "",
            options.eager() ? ", eager" : "");
  }

  @Override
  public Optional<Probe> probe() {
    return CudaProbe.of(driver, launch);
  }

  @Override
  public String kvCacheType() {
    return options.cache().type();
  }

  @Override
  public long kvTokenBytes(int layers, int heads, int headDim) {
    return 2L * layers * heads * CudaKvStorage.paddedHeadDim(headDim) * options.cache().bytes();
  }

  @Override
  public Optional<DeviceMemory> memory() {
    return Optional.of(CudaRehearsal.memory(driver.device(), driver.freeBytes(), options));
  }

  /** All rows at once: the device has memory for them, and larger multiplications are faster. */
  @Override
  public int chunkRows() {
    return Integer.MAX_VALUE;
  }

  @Override
  public CudaTensor tensor(int rowCount, int columns) {
    return new CudaTensor(driver, rowCount, columns);
  }

  @Override
  public CudaOperand operand(int rowCount, int columns) {
    return new CudaOperand(driver, rowCount, columns);
  }

  @Override
  public <T> T takeOver(Optional<PackedPlace> place, Supplier<T> all) {
    T taken = all.get();
    weights.release();
    return taken;
  }

  @Override
  public CudaMatrix matrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return weights.matrix(parts, biases, RowOrder.PLAIN, options.weights());
  }

  @Override
  public CudaMatrix vocabularyMatrix(StoredTensor rows) {
    return weights.matrix(rows, options.weights().ofVocabulary());
  }

  @Override
  public CudaMatrix gateUpMatrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return weights.matrix(parts, biases, RowOrder.PAIRED, options.weights());
  }

  @Override
  public CudaGain gain(StoredTensor vector) {
    return new CudaGain(vector.columns(), weights.vector(vector.floats()));
  }

  @Override
  public CudaRopeTable ropeTable(double[] inverseFrequencies, double amplitude) {
    CudaRopeTable table =
        new CudaRopeTable(driver, launch, inverseFrequencies, amplitude, graphs::clear);
    tables.add(table);
    return table;
  }

  @Override
  public CudaKvStorage kvStorage(KvShape shape) {
    CudaKvStorage storage = new CudaKvStorage(driver, shape, options.cache());
    storages.add(storage);
    attentions.add(new CudaAttention(driver, launch, storage, clock, graphs::clear));
    return storage;
  }

  private CudaAttention attention(KvStorage storage) {
    return attentions.get(storages.indexOf(storage));
  }

  @Override
  public void step(AttentionBatch batch, KvStorage storage, Runnable operations) {
    try (var _ = ranges.open(Kind.STEP)) {
      begin(batch, storage);
      if (batch.slices() == batch.rows() && graphs.serves(batch.rows())) {
        boolean folds = attention(storage).batches().work().folds().count() > 0;
        driver.replay(graphs.of(Form.of(batch, folds), operations));
      } else {
        operations.run();
      }
    } finally {
      stepInputs = null;
    }
  }

  @Override
  public void prepare(AttentionBatch batch, KvStorage storage, Runnable operations) {
    begin(batch, storage);
    try {
      graphs.of(Form.of(batch, false), operations);
      graphs.of(Form.of(batch, true), operations);
    } finally {
      stepInputs = null;
    }
  }

  @Override
  public int[] preparedRows(int rowsMax) {
    return graphs.preparedRows(rowsMax);
  }

  /** Has everything in place that a step reads, and room for what it leaves. */
  private void begin(AttentionBatch batch, KvStorage storage) {
    weights.release(); // whoever steps has loaded
    CudaRows.requireTokens(batch, tokensMax);
    CudaAttention attention = attention(storage);
    if (!storage.equals(stepped)) {
      graphs.clear(); // they are another cache's
      stepped = storage;
    }
    attention.prepare(batch);
    adapters.prepare(batch);
    for (CudaRopeTable table : tables) {
      table.require(batch);
    }
    stepInputs = attention.batches().on(batch);
  }

  /** Rows for which a grid must have room. */
  private int gridRows(int actual) {
    return Math.max(graphs.captured().rows(), actual);
  }

  /** Where kernels find how many rows there are. */
  private long counts(int actual) {
    return stepInputs == null ? rows.count(actual) : stepInputs.counts();
  }

  @Override
  public void embed(Tensor out, Matrix table, AttentionBatch batch) {
    requireRows(out.rows(), batch.count());
    requireColumns(out.columns(), table.columns());
    CudaMatrix matrix = (CudaMatrix) table;
    tokensMax = matrix.rows();
    CudaRows.requireTokens(batch, tokensMax);
    long counts = counts(out.rows());
    rows.embed((CudaTensor) out, matrix, tokens(batch), counts, gridRows(out.rows()));
  }

  private long tokens(AttentionBatch batch) {
    return stepInputs == null ? rows.tokens(batch) : stepInputs.tokens();
  }

  @Override
  public void rmsNorm(Operand out, Tensor in, Gain gain, float epsilon) {
    requireRows(out.rows(), in.rows());
    requireColumns(out.columns(), in.columns());
    requireColumns(in.columns(), gain.size());
    rows.norm(
        new CudaRows.Normed((CudaOperand) out, (CudaTensor) in, (CudaGain) gain, epsilon),
        counts(in.rows()),
        gridRows(in.rows()));
  }

  @Override
  public void convert(Operand out, Tensor in) {
    requireRows(out.rows(), in.rows());
    requireColumns(out.columns(), in.columns());
    rows.convert((CudaOperand) out, (CudaTensor) in, counts(in.rows()), gridRows(in.rows()));
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
    requireRows(out.rows(), in.rows());
    requireColumns(out.columns(), weight.rows());
    requireColumns(in.columns(), weight.columns());
    product(CudaMatmul.Target.of((CudaTensor) out, epilogue), in, weight);
  }

  private void product(CudaMatmul.Target target, Operand in, Matrix weight) {
    try (var _ = ranges.open(Kind.PRODUCT)) {
      matmul.run(
          target, (CudaOperand) in, (CudaMatrix) weight, counts(in.rows()), gridRows(in.rows()));
    }
  }

  @Override
  public void matmulGate(Operand out, Operand in, Matrix gateUp) {
    gate(out, in, gateUp, Addend.NONE);
  }

  private void gate(Operand out, Operand in, Matrix gateUp, Addend addend) {
    requireRows(out.rows(), in.rows());
    requireColumns(gateUp.rows(), 2 * out.columns());
    requireColumns(in.columns(), gateUp.columns());
    product(CudaMatmul.Target.gated((CudaOperand) out, addend), in, gateUp);
  }

  @Override
  public CudaLoraSlots loraSlots(LoraShape shape) {
    return adapters.open(shape);
  }

  @Override
  public void addLora(Tensor sum, Operand in, LoraTarget target, AttentionBatch batch) {
    adapters.add((CudaTensor) sum, (CudaOperand) in, target, batch);
  }

  @Override
  public void addLora(Tensor sum, LoraTarget target, AttentionBatch batch) {
    adapters.add((CudaTensor) sum, new Tokens(tokens(batch), rows.sampled()), target, batch);
  }

  @Override
  public void matmulGate(
      Operand out, Operand in, Matrix gateUp, LoraTarget target, AttentionBatch batch) {
    gate(out, in, gateUp, adapters.addend((CudaMatrix) gateUp, (CudaOperand) in, target, batch));
  }

  @Override
  public void rotateAndStore(
      Projection projection,
      Rotation rotation,
      KvStorage storage,
      int layer,
      AttentionBatch batch) {
    try (var _ = ranges.open(Kind.ATTENTION)) {
      attention(storage).rotateAndStore(projection, rotation, layer, batch, gridRows(batch.rows()));
    }
  }

  @Override
  public void attend(
      Operand out,
      Projection projection,
      KvStorage storage,
      Attention attention,
      AttentionBatch batch) {
    KvShape shape = storage.shape();
    requireRows(out.rows(), batch.count());
    requireRows(batch.count(), batch.rows());
    requireColumns(out.columns(), shape.queryHeads() * shape.headDim());
    try (var _ = ranges.open(Kind.ATTENTION)) {
      attention(storage).attend((CudaOperand) out, attention, batch);
    }
  }

  /** One launch where every slice is one row, as in every step that is captured. */
  @Override
  public void rotateStoreAttend(
      Operand out,
      Projection projection,
      Rotation rotation,
      KvStorage storage,
      Attention attention,
      AttentionBatch batch) {
    if (batch.slices() < batch.rows()) {
      Backend.super.rotateStoreAttend(out, projection, rotation, storage, attention, batch);
      return;
    }
    KvShape shape = storage.shape();
    requireRows(out.rows(), batch.count());
    requireColumns(out.columns(), shape.queryHeads() * shape.headDim());
    try (var _ = ranges.open(Kind.ATTENTION)) {
      attention(storage)
          .rotateStoreAttend(
              (CudaOperand) out, projection, rotation, attention, batch, graphs.captured());
    }
  }

  @Override
  public void gather(Tensor out, Tensor in, int[] indices, int from) {
    requireColumns(out.columns(), in.columns());
    rows.gather((CudaTensor) out, (CudaTensor) in, indices, from);
  }

  @Override
  public void read(float[] out, Tensor in) {
    logits.read(out, (CudaTensor) in);
  }

  @Override
  public void write(Tensor out, float[] in) {
    logits.write((CudaTensor) out, in);
  }

  @Override
  public void logits(float[] out, Operand in, Matrix weight) {
    requireColumns(Math.min(out.length, in.rows() * weight.rows()), in.rows() * weight.rows());
    if (in.rows() > 0) {
      logits.read(out, product(in, weight));
    }
  }

  @Override
  public void logits(
      float[] out, Operand in, Matrix weight, LoraTarget target, AttentionBatch batch) {
    CudaTensor product = product(in, weight);
    addLora(product, in, target, batch);
    logits.read(out, product);
  }

  @Override
  public Optional<DeviceSampler> sampler(int vocabSize, int[] endTokenIds, int rowsMax) {
    return Optional.of(new CudaSampler(this, launch, vocabSize, endTokenIds, rowsMax));
  }

  /** Queues the multiplication that gives logits, which lie on the device until the next one. */
  CudaTensor product(Operand in, Matrix weight) {
    try (var _ = ranges.open(Kind.LOGITS)) {
      CudaTensor target = logits.on(in.rows(), weight.rows());
      multiply(target, in, weight, Epilogue.STORE);
      return target;
    }
  }

  /** Where the sampler leaves the tokens it has chosen, by row of the chunk. */
  long sampledTokens() {
    return rows.sampled();
  }

  @Override
  public OptionalLong waitedNanos() {
    return OptionalLong.of(driver.waitedNanos());
  }

  @Override
  public Optional<DeviceClock> clock() {
    clock.turnOn();
    return Optional.of(clock);
  }

  @Override
  public Collectives collectives(Rank rank, Meeting meeting) {
    return new CudaCollectives(driver, launch, rank, meeting);
  }

  @Override
  public void close() {
    driver.close(); // frees everything, storages included
    arena.close();
  }
}
