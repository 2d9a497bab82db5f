package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.backend.Backend.Projection;
import io.verdier.engine.backend.Backend.RopeTable;
import io.verdier.engine.backend.Backend.Rotation;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Stage;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.model.DecoderWeights.Output;
import io.verdier.engine.sample.RowResults;
import java.util.Arrays;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of a pre-norm decoder (Vaswani et al., 2017; Touvron et al., "LLaMA", 2023) for
 * every supported family. Owned by the executor thread.
 *
 * <p>A step's rows are worked through in chunks, so that only two tensors need a row for every
 * token of the step. Each layer first stores the keys and values of all chunks, then lets any of
 * them attend: a sequence may read blocks that another fills in the same step.
 *
 * <p>Of several ranks that share a model each has one of these, over its own heads and columns; all
 * of them meet twice a layer, where the products that narrow are added up.
 *
 * <p>Of several stages each has one, too, over its own layers. The first one embeds tokens, the
 * others {@linkplain #enter take} the residual stream where the stage before {@linkplain #leave
 * left} it, float by float; so there is nothing that stages could round or add up in another order.
 * A step comes in parts, and only the last stage's results are of the whole step: it {@linkplain
 * #keep keeps} the rows of each part.
 */
public sealed class Transformer implements AutoCloseable permits LeadTransformer {
  /** Several ranks have room for logits of so many rows: 256 of 128,256 tokens are 125 MiB. */
  private static final int SHARED_LOGITS_ROWS_MAX = 256;

  private final Shard shard;
  private final ModelSpec spec; // of this rank
  private final Backend backend;
  private final Collectives ranks;
  private final DecoderWeights weights;
  private final Rotation[] rotations; // [layers]
  private final Attention[] attentions; // [layers]
  private final AdapterTargets adapters;
  private final int chunkRows;

  // A row for every token of the step.
  private final Tensor residual; // [tokens, hidden]
  private final Projection projection; // [tokens, (heads + 2 kvHeads) · headDim]

  // A row for every token of a chunk.
  private final Operand normed; // [chunk, hidden]
  private final Operand attended; // [chunk, heads · headDim]
  private final Operand gated; // [chunk, intermediate]
  private final Tensor gathered; // [chunk, hidden], rows whose logits are wanted

  // Behind other stages, whose steps come in parts.
  private final @Nullable Tensor kept; // [tokens, hidden], what the last stage has of the step
  private final int[] places; // [tokens], 0, 1, 2, ...

  // The step whose rows have their results here; null: none was run.
  private @Nullable AttentionBatch last;

  // With several ranks, where a device chooses tokens.
  private @Nullable Tensor someLogits; // [logits rows, this rank's tokens]
  private @Nullable Tensor allLogits; // [logits rows, ranks · tokens of each]

  /**
   * @param tokensMax tokens in a step
   */
  Transformer(RankPart part, int tokensMax) {
    shard = part.shard();
    spec = shard.local();
    backend = part.backend();
    ranks = part.ranks();
    weights = part.weights();
    chunkRows = Math.min(tokensMax, backend.chunkRows());
    adapters = new AdapterTargets(part.adapters(), logitsRowsMax());
    int queryWidth = spec.heads() * spec.headDim();
    int keyWidth = spec.kvHeads() * spec.headDim();
    RopeTable table = backend.ropeTable(spec.rope().inverseFrequencies(), spec.rope().amplitude());
    rotations = new Rotation[spec.layers()];
    Arrays.setAll(rotations, i -> rotation(table, weights.layers().get(i)));
    attentions = new Attention[spec.layers()];
    Arrays.setAll(attentions, i -> new Attention(i, spec.attentionScale(), spec.windows()[i]));
    residual = backend.tensor(tokensMax, spec.hidden());
    ranks.reserve(residual);
    projection = Projection.of(backend.tensor(tokensMax, queryWidth + 2 * keyWidth), keyWidth);
    normed = backend.operand(chunkRows, spec.hidden());
    attended = backend.operand(chunkRows, queryWidth);
    gated = backend.operand(chunkRows, spec.intermediate());
    gathered = backend.tensor(chunkRows, spec.hidden());
    boolean keeps = shard.stage().isLast() && !shard.stage().isWhole();
    kept = keeps ? backend.tensor(tokensMax, spec.hidden()) : null;
    places = IntStream.range(0, keeps ? tokensMax : 0).toArray();
  }

  private Rotation rotation(RopeTable table, DecoderWeights.Layer layer) {
    return new Rotation(table, layer.queryNorm(), layer.keyNorm(), spec.normEpsilon());
  }

  /** Most rows that {@link #logits}, {@link #sample} and {@link #hiddenStates} take at once. */
  public int logitsRowsMax() {
    return shard.rank().isAlone() ? chunkRows : Math.min(chunkRows, SHARED_LOGITS_ROWS_MAX);
  }

  /**
   * Most numbers that a rank shows the others in one operation: rows of the residual, or of logits.
   *
   * @param tokensMax tokens in a step
   */
  static long exchangedFloatsMax(Shard shard, int tokensMax) {
    long logitsRows = Math.min(tokensMax, SHARED_LOGITS_ROWS_MAX);
    return Math.max((long) tokensMax * shard.whole().hidden(), logitsRows * shard.logitsWidth());
  }

  /** Tokens whose logits this rank computes. */
  int logitsColumns() {
    return output().head().rows();
  }

  /** The first of these tokens. */
  int logitsFirst() {
    return shard.logits().first();
  }

  DecoderWeights weights() {
    return weights;
  }

  /** How many ranks share the model. */
  public int ranks() {
    return shard.rank().size();
  }

  /** Which of the model's layers these are. */
  public Stage stage() {
    return shard.stage();
  }

  private Output output() {
    return Objects.requireNonNull(weights.output(), "only the last stage has it");
  }

  private Matrix embedding() {
    return Objects.requireNonNull(weights.embedding(), "only the first stage has it");
  }

  /** Bytes of weights that a step reads. */
  public long weightBytesPerStep() {
    return weights.bytesPerStep();
  }

  /**
   * Puts keys and values of the batch into the cache without computing them, so that attention over
   * a long context can be measured without its prefill. Every layer gets the first layer's
   * projection of the bare embedding, rotated once more per layer: of real size and scale, a
   * function of token and position alone, and otherwise meaningless.
   */
  public void fill(AttentionBatch batch, KvStorage cache) {
    DecoderWeights.Layer layer = weights.layers().getFirst();
    for (int row = 0; row < batch.rows(); row += chunkRows) {
      select(batch, row);
      backend.embed(residual, embedding(), batch);
      backend.rmsNorm(normed, residual, layer.attentionNorm(), spec.normEpsilon());
      backend.matmul(projection.all(), normed, layer.queryKeyValue());
      for (int i = 0; i < spec.layers(); i++) {
        backend.rotateAndStore(projection, rotations[i], cache, i, batch);
      }
    }
  }

  /**
   * Runs all layers over the batch; {@link #logits} then reads the result, or, where there are
   * other stages, {@link #leave} or {@link #keep}.
   */
  public void forward(AttentionBatch batch, KvStorage cache) {
    last = batch;
    backend.step(batch, cache, () -> layers(batch, cache));
  }

  /**
   * Takes over what the stage before has left of the batch that is next.
   *
   * @param rows {@code [count, hidden]}
   */
  public void enter(float[] rows, int count) {
    residual.select(0, count);
    backend.write(residual, rows);
  }

  /**
   * Brings the last batch to the next stage.
   *
   * @param rows {@code [count, hidden]}
   */
  public void leave(float[] rows, int count) {
    residual.select(0, count);
    backend.read(rows, residual);
  }

  /**
   * Keeps the last batch as rows of its step, for {@link #logits}, {@link #sample} and {@link
   * #hiddenStates}: the step's other rows are in other batches. Only of the last stage.
   *
   * @param first of the step's rows
   */
  public void keep(int first, int count) {
    Tensor step = Objects.requireNonNull(kept, "only the last stage keeps rows");
    step.select(first, count);
    backend.gather(step, residual, places, 0);
  }

  /**
   * Gets the backend ready for decoding steps of up to so many sequences, where there is room for
   * adapters with and without them.
   */
  public void prepare(int sequencesMax, KvStorage cache) {
    AttentionBatch batch = new AttentionBatch(residual.rowsMax(), sequencesMax);
    if (!adapters.isEmpty()) { // first: their buffers would end graphs that are there already
      prepare(batch, cache, 0);
    }
    prepare(batch, cache, AttentionBatch.NO_ADAPTER);
  }

  /** Gives the cache's memory back until it is written again; see {@link KvStorage#vacate}. */
  public void vacate(KvStorage cache) {
    cache.vacate();
  }

  /** Gives the memory of weights back until {@link #recall}, where that is possible. */
  public void release() {
    backend.releaseWeights();
  }

  /** Has weights that were given up. */
  public void recall() {
    backend.recallWeights();
  }

  private void prepare(AttentionBatch batch, KvStorage cache, int adapter) {
    int[] firstBlock = {0};
    int most = Math.min(batch.slicesMax(), residual.rowsMax());
    for (int rows : backend.preparedRows(most)) {
      batch.clear();
      for (int row = 0; row < rows; row++) {
        batch.add(position -> 0, 0, 1, firstBlock, adapter);
      }
      backend.prepare(batch, cache, () -> layers(batch, cache));
    }
  }

  private void layers(AttentionBatch batch, KvStorage cache) {
    for (int row = 0; shard.stage().isFirst() && row < batch.rows(); row += chunkRows) {
      select(batch, row);
      backend.embed(residual, embedding(), batch);
      if (batch.hasAdapters()) {
        backend.addLora(residual, adapters.ofEmbedding(), batch);
      }
    }
    boolean isOneChunk = batch.rows() <= chunkRows;
    for (int i = 0; i < spec.layers(); i++) {
      DecoderWeights.Layer layer = weights.layers().get(i);
      for (int row = 0; row < batch.rows(); row += chunkRows) {
        select(batch, row);
        backend.rmsNorm(normed, residual, layer.attentionNorm(), spec.normEpsilon());
        backend.matmul(projection.all(), normed, layer.queryKeyValue());
        addLora(projection.all(), normed, AdaptedProducts.QUERY_KEY_VALUE.index(i), batch);
        if (!isOneChunk) {
          backend.rotateAndStore(projection, rotations[i], cache, i, batch);
        }
      }
      for (int row = 0; row < batch.rows(); row += chunkRows) {
        select(batch, row);
        if (isOneChunk) {
          backend.rotateStoreAttend(
              attended, projection, rotations[i], cache, attentions[i], batch);
        } else {
          backend.attend(attended, projection, cache, attentions[i], batch);
        }
        addProducts(attended, layer.output(), AdaptedProducts.OUTPUT.index(i), batch);
        backend.rmsNorm(normed, residual, layer.feedForwardNorm(), spec.normEpsilon());
        gate(layer.gateUp(), AdaptedProducts.GATE_UP.index(i), batch);
        addProducts(gated, layer.down(), AdaptedProducts.DOWN.index(i), batch);
      }
    }
  }

  /**
   * Adds every rank's product to the residual. The sum begins with the first rank's residual, which
   * all have, so nothing needs to be zeroed or added afterwards. What adapters add is part of a
   * rank's addend.
   */
  private void addProducts(Operand in, Matrix weight, int product, AttentionBatch batch) {
    if (shard.rank().isFirst()) {
      backend.matmulAdd(residual, in, weight);
    } else {
      backend.matmul(residual, in, weight);
    }
    addLora(residual, in, product, batch);
    ranks.allReduceSum(residual);
  }

  private void gate(Matrix gateUp, int product, AttentionBatch batch) {
    if (batch.hasAdapters()) {
      backend.matmulGate(gated, normed, gateUp, adapters.of(product), batch);
    } else {
      backend.matmulGate(gated, normed, gateUp);
    }
  }

  private void addLora(Tensor sum, Operand in, int product, AttentionBatch batch) {
    if (batch.hasAdapters()) {
      backend.addLora(sum, in, adapters.of(product), batch);
    }
  }

  /**
   * Next-token logits of some rows of the last batch.
   *
   * @param rows indices of rows; those from {@code from} on are taken
   * @param out {@code [count, vocabSize]}, or as many columns as the rank has tokens
   */
  public void logits(int[] rows, int from, int count, float[] out) {
    normalise(rows, from, count);
    AttentionBatch adapted = adapters.wanted(last, rows, from, count);
    if (adapted == null) {
      backend.logits(out, normed, output().head());
    } else {
      backend.logits(out, normed, output().head(), adapters.ofHead(), adapted);
    }
  }

  /**
   * Lets the device choose tokens by such logits, which stay where they are.
   *
   * @param rows indices of rows; those from {@code from} on are taken
   * @param chunk of the same backend's sampler, with a request for each of these rows
   * @return what comes of it
   */
  public RowResults sample(int[] rows, int from, int count, DeviceSampler.Chunk chunk) {
    normalise(rows, from, count);
    AttentionBatch adapted = adapters.wanted(last, rows, from, count);
    if (adapted == null) {
      chunk.run(normed, output().head());
    } else {
      chunk.run(normed, output().head(), adapters.ofHead(), adapted);
    }
    return chunk;
  }

  /**
   * Logits on the device of every rank, of some rows of the last batch.
   *
   * @return {@code [count, vocabSize]}
   */
  Tensor gatheredLogits(int[] rows, int from, int count) {
    normalise(rows, from, count);
    Tensor some = someLogits;
    Tensor all = allLogits;
    if (some == null || all == null) {
      some = backend.tensor(logitsRowsMax(), shard.logitsWidth());
      all = backend.tensor(logitsRowsMax(), shard.logitsWidth() * shard.rank().size());
      ranks.reserve(some);
      someLogits = some;
      allLogits = all;
    }
    some.select(0, count);
    all.select(0, count);
    Matrix head = output().head();
    Tensor product = some.columns(0, head.rows());
    product.select(0, count);
    backend.matmul(product, normed, head);
    AttentionBatch adapted = adapters.wanted(last, rows, from, count);
    if (adapted != null) {
      backend.addLora(product, normed, adapters.ofHead(), adapted);
    }
    ranks.allGather(all, some);
    Tensor logits = all.columns(0, spec.vocabSize());
    logits.select(0, count);
    return logits;
  }

  /**
   * Hidden states behind the final norm, of some rows of the last batch. They are normalised here
   * and not on the device, whose operands may be coarser than float32.
   *
   * @param rows indices of rows; those from {@code from} on are taken, {@link #logitsRowsMax} at
   *     most
   * @param out {@code [count, hidden]}
   */
  public void hiddenStates(int[] rows, int from, int count, float[] out) {
    backend.read(out, wanted(rows, from, count));
    for (int row = 0; row < count; row++) {
      normalise(out, row * spec.hidden());
    }
  }

  private void normalise(float[] values, int at) {
    double squares = 0;
    for (int i = 0; i < spec.hidden(); i++) {
      squares += (double) values[at + i] * values[at + i];
    }
    float[] gain = output().gain();
    double scale = 1 / Math.sqrt(squares / spec.hidden() + spec.normEpsilon());
    for (int i = 0; i < spec.hidden(); i++) {
      values[at + i] = (float) (values[at + i] * scale * gain[i]);
    }
  }

  private void normalise(int[] rows, int from, int count) {
    normed.select(0, count);
    Tensor wanted = wanted(rows, from, count);
    backend.rmsNorm(normed, wanted, output().norm(), spec.normEpsilon());
  }

  /** Rows that lie side by side, as all of a decoding step's do, are taken where they are. */
  private Tensor wanted(int[] rows, int from, int count) {
    Tensor states = kept == null ? residual : kept;
    int behind = 1;
    while (behind < count && rows[from + behind] == rows[from] + behind) {
      behind++;
    }
    if (behind >= count) {
      states.select(count == 0 ? 0 : rows[from], count);
      return states;
    }
    gathered.select(0, count);
    backend.gather(gathered, states, rows, from);
    return gathered;
  }

  /** Moves every window to the chunk that begins at a row. */
  private void select(AttentionBatch batch, int first) {
    int count = Math.min(chunkRows, batch.rows() - first);
    batch.select(first, count);
    residual.select(first, count);
    projection.select(first, count);
    normed.select(0, count);
    attended.select(0, count);
    gated.select(0, count);
  }

  /** What this rank has queued is watched, though its thread turns to something else. */
  void watch() {
    ranks.watch();
  }

  /** Ends what this rank does with others; the backend is its owner's. */
  @Override
  public void close() {
    ranks.close();
  }
}
