package io.verdier.engine.model;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.Gain;
import io.verdier.engine.backend.Backend.RopeTable;
import io.verdier.engine.backend.KvStorage;
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
  private final RopeTable ropeTable;
  private final Attention[] attentions; // [layers]
  private final int chunkRows;

  // A row for every token of the step.
  private final Tensor residual; // [tokens, hidden]
  private final Tensor projected; // [tokens, (heads + 2 kvHeads) · headDim]
  private final Tensor queries; // the three parts of projected
  private final Tensor keys;
  private final Tensor values;

  // A row for every token of a chunk.
  private final Tensor normed; // [chunk, hidden]
  private final Tensor attended; // [chunk, heads · headDim]
  private final Tensor update; // [chunk, hidden], what a sublayer adds
  private final Tensor gateUp; // [chunk, 2 · intermediate]
  private final Tensor gated; // [chunk, intermediate]

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
    ropeTable = backend.ropeTable(spec.rope().inverseFrequencies(), spec.rope().amplitude());
    attentions = new Attention[spec.layers()];
    Arrays.setAll(attentions, i -> new Attention(i, spec.attentionScale(), spec.windows()[i]));
    residual = backend.tensor(tokensMax, spec.hidden());
    projected = backend.tensor(tokensMax, queryWidth + 2 * keyWidth);
    queries = projected.columns(0, queryWidth);
    keys = projected.columns(queryWidth, keyWidth);
    values = projected.columns(queryWidth + keyWidth, keyWidth);
    normed = backend.tensor(chunkRows, spec.hidden());
    attended = backend.tensor(chunkRows, queryWidth);
    update = backend.tensor(chunkRows, spec.hidden());
    gateUp = backend.tensor(chunkRows, 2 * spec.intermediate());
    gated = backend.tensor(chunkRows, spec.intermediate());
  }

  public ModelSpec spec() {
    return spec;
  }

  /** Most rows that {@link #logits} takes at once. */
  public int logitsRowsMax() {
    return chunkRows;
  }

  /** Runs all layers over the batch; {@link #logits} then reads the result. */
  public void forward(AttentionBatch batch, KvStorage cache) {
    for (int row = 0; row < batch.rows(); row += chunkRows) {
      select(batch, row);
      backend.embed(residual, weights.embedding(), batch);
    }
    for (int i = 0; i < spec.layers(); i++) {
      DecoderWeights.Layer layer = weights.layers().get(i);
      for (int row = 0; row < batch.rows(); row += chunkRows) {
        select(batch, row);
        project(layer, batch);
        backend.storeKv(cache, i, keys, values, batch);
      }
      for (int row = 0; row < batch.rows(); row += chunkRows) {
        select(batch, row);
        backend.attend(attended, queries, cache, attentions[i], batch);
        backend.matmul(update, attended, layer.output());
        backend.add(residual, update);
        feedForward(layer);
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
    update.select(0, count);
    normed.select(0, count);
    backend.gather(update, residual, rows, from);
    backend.rmsNorm(normed, update, weights.finalNorm(), spec.normEpsilon());
    backend.logits(out, normed, weights.head());
  }

  private void project(DecoderWeights.Layer layer, AttentionBatch batch) {
    backend.rmsNorm(normed, residual, layer.attentionNorm(), spec.normEpsilon());
    backend.matmul(projected, normed, layer.queryKeyValue());
    Gain queryNorm = layer.queryNorm();
    Gain keyNorm = layer.keyNorm();
    if (queryNorm != null && keyNorm != null) {
      backend.headNorm(queries, queryNorm, spec.normEpsilon());
      backend.headNorm(keys, keyNorm, spec.normEpsilon());
    }
    backend.rope(queries, ropeTable, batch);
    backend.rope(keys, ropeTable, batch);
  }

  private void feedForward(DecoderWeights.Layer layer) {
    backend.rmsNorm(normed, residual, layer.feedForwardNorm(), spec.normEpsilon());
    backend.matmul(gateUp, normed, layer.gateUp());
    backend.gate(gated, gateUp);
    backend.matmul(update, gated, layer.down());
    backend.add(residual, update);
  }

  /** Moves every window to the chunk that begins at a row. */
  private void select(AttentionBatch batch, int first) {
    int count = Math.min(chunkRows, batch.rows() - first);
    batch.select(first, count);
    residual.select(first, count);
    projected.select(first, count);
    queries.select(first, count);
    keys.select(first, count);
    values.select(first, count);
    normed.select(0, count);
    attended.select(0, count);
    update.select(0, count);
    gateUp.select(0, count);
    gated.select(0, count);
  }
}
