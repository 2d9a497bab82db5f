package io.verdier.engine.backend;

import io.verdier.engine.weights.StoredTensor;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A device that computes. Owned by the executor thread (by the loading thread before the first
 * step): one call at a time.
 *
 * <p>An operation works on the selected rows of its tensors, one row per token of a ragged batch.
 * The tensors of one call must agree in selected rows and in columns; a backend checks that once
 * per call and may then trust it.
 *
 * <p><b>Batch invariance.</b> What an operation writes to a row depends, to the bit, only on that
 * row of its inputs (for {@link #attend}: on the row's query and the keys and values before it). It
 * must not depend on how many rows there are, on where the row lies, on threads, or on which kernel
 * was chosen. Everything that Verdier promises about equal answers rests on this sentence.
 */
public interface Backend extends AutoCloseable {
  /** More of the host's memory is a cache's only if the operator says so. */
  long KV_HOST_BYTES_MAX = 4L << 30;

  /**
   * Rows that {@link Tensor}s of intermediate results should have: a larger batch is worked through
   * in chunks of so many, which bounds memory and keeps intermediate results in the cache.
   */
  int chunkRows();

  /** Allocates activations, {@code rows × columns}. */
  Tensor tensor(int rows, int columns);

  /** Allocates inputs of multiplications, {@code rows × columns}. */
  Operand operand(int rows, int columns);

  /**
   * Takes over a model's weights, all of them: a device may keep what it makes of them, and take
   * them from there at the next start.
   *
   * @param place where; empty: nothing is kept
   * @param weights calls {@link #matrix}, {@link #vocabularyMatrix}, {@link #gateUpMatrix} and
   *     {@link #gain}
   */
  default <T> T takeOver(Optional<PackedPlace> place, Supplier<T> weights) {
    return weights.get();
  }

  /**
   * Gives memory of weights back that can be had again; none may be used until {@link
   * #recallWeights}. Where that is not possible nothing happens.
   */
  default void releaseWeights() {}

  /**
   * Brings back what {@link #releaseWeights} gave up.
   *
   * @throws java.io.UncheckedIOException if it cannot be had: nothing can be computed any more
   */
  default void recallWeights() {}

  /**
   * Takes over a weight matrix in the layout of the device. Several parts are stacked by rows,
   * which makes one multiplication of several with the same input.
   *
   * @param parts {@code [rows, columns]} each, all of the same columns
   * @param biases one vector per part, added to the product; null entries for parts without
   */
  Matrix matrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases);

  /**
   * Takes over an embedding, or the output matrix, or both in one. Like {@link #matrix} of it, but
   * a device may keep it more exactly than other matrices.
   */
  default Matrix vocabularyMatrix(StoredTensor rows) {
    return matrix(List.of(rows), Collections.singletonList(null));
  }

  /**
   * Takes over the two matrices of a gated feed-forward layer, for {@link #matmulGate}: like {@link
   * #matrix} of both, in whatever order of rows suits the device.
   *
   * @param parts the gate and the up projection, {@code [rows, columns]} each
   * @param biases one per part, null for none
   */
  default Matrix gateUpMatrix(List<StoredTensor> parts, List<@Nullable StoredTensor> biases) {
    return matrix(parts, biases);
  }

  /**
   * Whether other backends that were opened for the same configuration can compute with what this
   * one has taken over, as long as it is open, at the same time as it does.
   */
  default boolean sharesWeights() {
    return false;
  }

  /** Takes over a vector, for {@link #rmsNorm}. */
  Gain gain(StoredTensor vector);

  /**
   * Prepares rotary position embeddings.
   *
   * @param inverseFrequencies {@code [headDim / 2]} radians per position
   * @param amplitude factor on sine and cosine (1, except for YaRN)
   */
  RopeTable ropeTable(double[] inverseFrequencies, double amplitude);

  /** Numbers of a KV cache, in vLLM's words. */
  default String kvCacheType() {
    return "float32";
  }

  /** Bytes that one token takes in a KV cache, keys and values of all layers. */
  default long kvTokenBytes(int layers, int heads, int headDim) {
    return 2L * layers * heads * headDim * Float.BYTES;
  }

  /**
   * Host memory that a KV cache may take where the operator names no size and there is no {@link
   * #memory} of a device's own.
   *
   * @param weightBytes of the weights: they come later, but first
   */
  default long kvBytesMax(long weightBytes) {
    return Math.clamp((HostMemory.freeBytes() - weightBytes) / 4, 0, KV_HOST_BYTES_MAX);
  }

  /** The memory of a device that has its own; empty: the host's is taken. */
  default Optional<DeviceMemory> memory() {
    return Optional.empty();
  }

  /** Reserves a KV cache; untouched blocks need not cost memory. */
  KvStorage kvStorage(KvShape shape);

  /**
   * Runs the operations of a step. A device may record them, and repeat what it recorded in a later
   * step of the same form: the operations must depend on the batch alone.
   *
   * @param operations on this batch and storage, and on tensors that are the same in every step
   */
  default void step(AttentionBatch batch, KvStorage storage, Runnable operations) {
    operations.run();
  }

  /**
   * Gets ready for steps of a batch's form, so that the first one takes no longer than the others.
   * Computes nothing. The parameters are those of {@link #step}.
   */
  default void prepare(AttentionBatch batch, KvStorage storage, Runnable operations) {}

  /** Row counts worth {@linkplain #prepare preparing} for, of sequences with one row each. */
  default int[] preparedRows(int rowsMax) {
    return new int[0];
  }

  /** {@code out[i] = table[token of row i]}. */
  void embed(Tensor out, Matrix table, AttentionBatch batch);

  /** {@code out = in / sqrt(mean(in²) + epsilon) · gain}, over each whole row. */
  void rmsNorm(Operand out, Tensor in, Gain gain, float epsilon);

  /** {@code out = in}, as far as the operand's format can hold it. */
  void convert(Operand out, Tensor in);

  /** {@code out = in · weightᵀ + bias}. */
  void matmul(Tensor out, Operand in, Matrix weight);

  /** {@code sum += in · weightᵀ + bias}. */
  void matmulAdd(Tensor sum, Operand in, Matrix weight);

  /**
   * {@code out = silu(in · gateᵀ) · (in · upᵀ)}.
   *
   * @param gateUp from {@link #gateUpMatrix}, of twice as many rows as {@code out} has columns
   */
  void matmulGate(Operand out, Operand in, Matrix gateUp);

  /**
   * Reserves room for adapters, once.
   *
   * @throws DeviceException when there is too little memory
   */
  LoraSlots loraSlots(LoraShape shape);

  /**
   * {@code sum[row] += scale · (in[row] · aᵀ) · bᵀ} for rows whose sequence has an adapter, with
   * the factors of that; other rows stay as they are. What stands for part after part of the
   * product stands side by side in {@code sum}.
   */
  void addLora(Tensor sum, Operand in, LoraTarget target, AttentionBatch batch);

  /**
   * {@code sum[row] += scale · (a's column of the row's token) · bᵀ}: the same of a product whose
   * inputs are tokens.
   */
  void addLora(Tensor sum, LoraTarget target, AttentionBatch batch);

  /**
   * Multiplies as {@link #matmulGate(Operand, Operand, Matrix)}, where adapters add to both
   * products before they meet; rows without an adapter get the same bits as from that.
   *
   * @param target of two parts, the gate and the up projection
   */
  void matmulGate(Operand out, Operand in, Matrix gateUp, LoraTarget target, AttentionBatch batch);

  /**
   * Makes queries, keys and values of the batch's selected rows ready to attend: normalises and
   * rotates queries and keys by head, the queries in place, and puts keys and values into their
   * blocks.
   */
  void rotateAndStore(
      Projection projection, Rotation rotation, KvStorage storage, int layer, AttentionBatch batch);

  /**
   * Causal softmax attention of the batch's selected rows over their sequences' blocks.
   *
   * @param projection whose queries {@link #rotateAndStore} has made ready
   */
  void attend(
      Operand out,
      Projection projection,
      KvStorage storage,
      Attention attention,
      AttentionBatch batch);

  /**
   * {@link #rotateAndStore}, then {@link #attend}, for batches whose selected rows are all of their
   * rows. A device may do both at once; what it leaves in the projection is then its own affair.
   */
  default void rotateStoreAttend(
      Operand out,
      Projection projection,
      Rotation rotation,
      KvStorage storage,
      Attention attention,
      AttentionBatch batch) {
    rotateAndStore(projection, rotation, storage, attention.layer(), batch);
    attend(out, projection, storage, attention, batch);
  }

  /** Copies rows of {@code in}, by their index from its first row whatever is selected. */
  void gather(Tensor out, Tensor in, int[] rows, int from);

  /**
   * Brings the selected rows to the host, one behind the other.
   *
   * @param out {@code [selected rows, columns]}
   */
  void read(float[] out, Tensor in);

  /**
   * Brings rows from the host into the selected ones, bit by bit.
   *
   * @param in {@code [selected rows, columns]}, or longer; may be changed when this returns
   */
  void write(Tensor out, float[] in);

  /**
   * Multiplies as {@link #matmul}, and brings the product to the host.
   *
   * @param out {@code [selected rows, weight's rows]}
   */
  void logits(float[] out, Operand in, Matrix weight);

  /**
   * The same, where adapters add to the product; rows without an adapter get the same bits as from
   * that.
   *
   * @param batch whose selected rows are those of {@code in}
   */
  void logits(float[] out, Operand in, Matrix weight, LoraTarget target, AttentionBatch batch);

  /**
   * What chooses tokens without bringing logits to the host; empty: they are there already.
   *
   * @param vocabSize logits in a row
   * @param endTokenIds the model's own end tokens
   * @param rowsMax most rows that are of use in a chunk
   */
  default Optional<DeviceSampler> sampler(int vocabSize, int[] endTokenIds, int rowsMax) {
    return Optional.empty();
  }

  /**
   * What this backend does together with those of other ranks. Waits until all of them ask.
   *
   * @param meeting of all ranks
   */
  Collectives collectives(Rank rank, Meeting meeting);

  /**
   * Nanoseconds that callers have waited for the device so far; empty: operations compute in the
   * thread that calls them.
   */
  default OptionalLong waitedNanos() {
    return OptionalLong.empty();
  }

  /** Begins to time steps on the device; empty where it has no clock of its own. */
  default Optional<DeviceClock> clock() {
    return Optional.empty();
  }

  /** What computes, in a few words for people: the device or the kernels. */
  default String description() {
    return getClass().getSimpleName();
  }

  /** Compute threads on the host, the caller's included; 0: it does not compute there. */
  default int threads() {
    return 0;
  }

  /** Work of the host in independent units. */
  @FunctionalInterface
  interface HostJob {
    /**
     * @param worker for scratch memory: 0 is the caller, others are below {@link #threads}
     */
    void run(int unit, int worker);
  }

  /**
   * Runs all units of a job, on the threads that compute if there are some, and returns when they
   * are done.
   *
   * @throws IllegalStateException if a unit failed
   */
  default void runOnHost(HostJob job, int units) {
    for (int unit = 0; unit < units; unit++) {
      job.run(unit, 0);
    }
  }

  /**
   * What measures the limits of the device; empty: it is the host, and nobody knows it better than
   * plain Java does.
   */
  default Optional<Probe> probe() {
    return Optional.empty();
  }

  /** Frees everything this backend has given out. */
  @Override
  void close();

  /** A weight matrix {@code [rows, columns]} in the device's layout. */
  interface Matrix {
    int rows();

    int columns();

    /** What a multiplication reads: two bytes a weight, unless the layout says otherwise. */
    default long bytes() {
      return 2L * rows() * columns();
    }
  }

  /** A weight vector. */
  interface Gain {
    int size();
  }

  /** Sines and cosines by position. */
  interface RopeTable {
    int headDim();
  }

  /**
   * What a layer projects its input to. Immutable; the tensors move.
   *
   * @param all queries, keys and values side by side
   * @param queries {@code [rows, heads · headDim]}, a window on {@code all} like the others
   * @param keys {@code [rows, kvHeads · headDim]}
   * @param values like the keys
   */
  record Projection(Tensor all, Tensor queries, Tensor keys, Tensor values) {

    /**
     * Divides a tensor.
     *
     * @param keyColumns of the keys, and of the values; the rest are the queries'
     */
    public static Projection of(Tensor all, int keyColumns) {
      int queryColumns = all.columns() - 2 * keyColumns;
      return new Projection(
          all,
          all.columns(0, queryColumns),
          all.columns(queryColumns, keyColumns),
          all.columns(queryColumns + keyColumns, keyColumns));
    }

    /** Moves all windows. */
    public void select(int first, int count) {
      all.select(first, count);
      queries.select(first, count);
      keys.select(first, count);
      values.select(first, count);
    }
  }

  /**
   * How one layer treats queries and keys before they meet. Halves of a head are rotated as pairs:
   * dimension i with i + headDim / 2. Immutable.
   *
   * @param queryNorm gain of an RMS norm over each head of the queries, {@code [headDim]}; null for
   *     none
   * @param keyNorm the same for the keys
   * @param epsilon of both norms
   */
  record Rotation(
      RopeTable table, @Nullable Gain queryNorm, @Nullable Gain keyNorm, float epsilon) {}

  /**
   * How one layer attends. Immutable.
   *
   * @param layer index of the layer in the storage
   * @param scale factor on the scores
   * @param window how many last positions are seen, the row's own included; 0: all
   */
  record Attention(int layer, float scale, int window) {}

  /**
   * Size of a KV cache. Immutable.
   *
   * @param heads of keys and of values
   * @param queryHeads that share them, a multiple of {@code heads}
   * @param blockTokens tokens per block
   */
  record KvShape(int layers, int heads, int queryHeads, int headDim, int blockTokens, int blocks) {}
}
