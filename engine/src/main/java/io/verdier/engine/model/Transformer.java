package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.Projection;
import io.verdier.engine.backend.Backend.RopeTable;
import io.verdier.engine.backend.Backend.Rotation;
import io.verdier.engine.backend.DeviceSampler;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.Tensor;
import java.util.Arrays;

/**
 * The forward pass of a pre-norm decoder (Vaswani et al., 2017; Touvron et al., "LLaMA", 2023) for
 * every supported family. Owned by the executor thread.
 *
 * <p>A step's rows are worked through in chunks, so that only two tensors need a row for every
 * token of the step. Each layer first stores the keys and values of all chunks, then lets any of
 * them attend: a sequence may read blocks that another fills in the same step.
 */
public final class Transformer {
  private final ModelSpec spec;
  private final Backend backend;
  private final DecoderWeights weights;
  private final Rotation[] rotations; // [layers]
  private final Attention[] attentions; // [layers]
  private final int chunkRows;

  // A row for every token of the step.
  private final Tensor residual; // [tokens, hidden]
  private final Projection projection; // [tokens, (heads + 2 kvHeads) · headDim]

  // A row for every token of a chunk.
  private final Operand normed; // [chunk, hidden]
  private final Operand attended; // [chunk, heads · headDim]
  private final Operand gated; // [chunk, intermediate]
  private final Tensor gathered; // [chunk, hidden], rows whose logits are wanted

  /**
   * @param tokensMax tokens in a step
   */
  Transformer(ModelSpec spec, DecoderWeights weights, Backend backend, int tokensMax) {
    this.spec = spec;
    this.backend = backend;
    this.weights = weights;
    chunkRows = Math.min(tokensMax, backend.chunkRows());
    int queryWidth = spec.heads() * spec.headDim();
    int keyWidth = spec.kvHeads() * spec.headDim();
    RopeTable table = backend.ropeTable(spec.rope().inverseFrequencies(), spec.rope().amplitude());
    rotations = new Rotation[spec.layers()];
    Arrays.setAll(rotations, i -> rotation(table, weights.layers().get(i)));
    attentions = new Attention[spec.layers()];
    Arrays.setAll(attentions, i -> new Attention(i, spec.attentionScale(), spec.windows()[i]));
    residual = backend.tensor(tokensMax, spec.hidden());
    projection = Projection.of(backend.tensor(tokensMax, queryWidth + 2 * keyWidth), keyWidth);
    normed = backend.operand(chunkRows, spec.hidden());
    attended = backend.operand(chunkRows, queryWidth);
    gated = backend.operand(chunkRows, spec.intermediate());
    gathered = backend.tensor(chunkRows, spec.hidden());
  }

  private Rotation rotation(RopeTable table, DecoderWeights.Layer layer) {
    return new Rotation(table, layer.queryNorm(), layer.keyNorm(), spec.normEpsilon());
  }

  public ModelSpec spec() {
    return spec;
  }

  /** Most rows that {@link #logits} and {@link #sample} take at once. */
  public int logitsRowsMax() {
    return chunkRows;
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
      backend.embed(residual, weights.embedding(), batch);
      backend.rmsNorm(normed, residual, layer.attentionNorm(), spec.normEpsilon());
      backend.matmul(projection.all(), normed, layer.queryKeyValue());
      for (int i = 0; i < spec.layers(); i++) {
        backend.rotateAndStore(projection, rotations[i], cache, i, batch);
      }
    }
  }

  /** Runs all layers over the batch; {@link #logits} then reads the result. */
  public void forward(AttentionBatch batch, KvStorage cache) {
    backend.step(batch, cache, () -> layers(batch, cache));
  }

  /** Gets the backend ready for decoding steps of up to so many sequences. */
  public void prepare(int sequencesMax, KvStorage cache) {
    AttentionBatch batch = new AttentionBatch(residual.rowsMax(), sequencesMax);
    int[] firstBlock = {0};
    for (int rows : backend.preparedRows(Math.min(sequencesMax, residual.rowsMax()))) {
      batch.clear();
      for (int i = 0; i < rows; i++) {
        batch.add(position -> 0, 0, 1, firstBlock);
      }
      backend.prepare(batch, cache, () -> layers(batch, cache));
    }
  }

  private void layers(AttentionBatch batch, KvStorage cache) {
    for (int row = 0; row < batch.rows(); row += chunkRows) {
      select(batch, row);
      backend.embed(residual, weights.embedding(), batch);
    }
    boolean isOneChunk = batch.rows() <= chunkRows;
    for (int i = 0; i < spec.layers(); i++) {
      DecoderWeights.Layer layer = weights.layers().get(i);
      for (int row = 0; row < batch.rows(); row += chunkRows) {
        select(batch, row);
        backend.rmsNorm(normed, residual, layer.attentionNorm(), spec.normEpsilon());
        backend.matmul(projection.all(), normed, layer.queryKeyValue());
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
        backend.matmulAdd(residual, attended, layer.output());
        backend.rmsNorm(normed, residual, layer.feedForwardNorm(), spec.normEpsilon());
        backend.matmulGate(gated, normed, layer.gateUp());
        backend.matmulAdd(residual, gated, layer.down());
      }
    }
  }

  /**
   * Next-token logits of some rows of the last batch.
   *
   * @param rows indices of rows; those from {@code from} on are taken
   * @param out {@code [count, vocabSize]}
   */
  public void logits(int[] rows, int from, int count, float[] out) {
    normalise(rows, from, count);
    backend.logits(out, normed, weights.head());
  }

  /**
   * Lets the device choose tokens by such logits, which stay where they are.
   *
   * @param rows indices of rows; those from {@code from} on are taken
   * @param sampler of the same backend, with a request for each of these rows
   */
  public void sample(int[] rows, int from, int count, DeviceSampler sampler) {
    normalise(rows, from, count);
    sampler.run(normed, weights.head());
  }

  private void normalise(int[] rows, int from, int count) {
    gathered.select(0, count);
    normed.select(0, count);
    backend.gather(gathered, residual, rows, from);
    backend.rmsNorm(normed, gathered, weights.finalNorm(), spec.normEpsilon());
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
}
