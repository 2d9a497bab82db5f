package io.verdier.engine.model;

import java.util.Arrays;

/**
 * The numbers and choices of one model, checked. Immutable.
 *
 * @param architecture as in {@code config.json}
 * @param hidden width of the residual stream
 * @param intermediate width of the feed-forward layer
 * @param heads query heads; a multiple of {@code kvHeads}
 * @param maxPositions {@code max_position_embeddings}
 * @param windows per layer, how many last positions it sees; 0: all
 * @param tiedEmbeddings whether the output matrix is the embedding; it is said too of models that
 *     do not generate, which need none
 * @param textOfLargerModel whether the checkpoint holds more than the text model (a vision tower)
 */
public record ModelSpec(
    String architecture,
    int vocabSize,
    int hidden,
    int intermediate,
    int layers,
    int heads,
    int kvHeads,
    int headDim,
    float normEpsilon,
    int maxPositions,
    RopeSpec rope,
    int[] windows,
    Biases biases,
    boolean queryKeyNorm,
    boolean tiedEmbeddings,
    boolean textOfLargerModel) {

  /** What architectures of decoders without an output matrix end with. */
  static final String HEADLESS = "Model";

  /**
   * Whether it was saved without an output matrix, and so cannot generate. Of a text model inside a
   * larger one the name says nothing: the larger one has the matrix.
   */
  boolean isHeadless() {
    return architecture.endsWith(HEADLESS) && !textOfLargerModel;
  }

  /** The same for a model that does not generate: an output matrix is not read. */
  ModelSpec withoutHead() {
    return new ModelSpec(
        architecture,
        vocabSize,
        hidden,
        intermediate,
        layers,
        heads,
        kvHeads,
        headDim,
        normEpsilon,
        maxPositions,
        rope,
        windows,
        biases,
        queryKeyNorm,
        true,
        textOfLargerModel);
  }

  /**
   * The same with fewer heads and a narrower feed-forward layer: what one of several ranks computes
   * of every layer.
   */
  ModelSpec ofRank(int rankHeads, int rankKvHeads, int rankIntermediate) {
    return new ModelSpec(
        architecture,
        vocabSize,
        hidden,
        rankIntermediate,
        layers,
        rankHeads,
        rankKvHeads,
        headDim,
        normEpsilon,
        maxPositions,
        rope,
        windows,
        biases,
        queryKeyNorm,
        tiedEmbeddings,
        textOfLargerModel);
  }

  /**
   * The same with some consecutive layers: what one of several stages computes.
   *
   * @param first of the layers
   * @param count how many they are
   */
  ModelSpec ofStage(int first, int count) {
    return new ModelSpec(
        architecture,
        vocabSize,
        hidden,
        intermediate,
        count,
        heads,
        kvHeads,
        headDim,
        normEpsilon,
        maxPositions,
        rope,
        Arrays.copyOfRange(windows, first, first + count),
        biases,
        queryKeyNorm,
        tiedEmbeddings,
        textOfLargerModel);
  }

  /** Which projections have a bias. */
  public record Biases(boolean queryKeyValue, boolean output, boolean feedForward) {}

  /** Positions that the model may see, RoPE scaling counted, as vLLM derives it. */
  public int lengthMax() {
    int base = rope.lengthBase() == 0 ? maxPositions : rope.lengthBase();
    return (int) Math.min(Integer.MAX_VALUE / 2, (long) (base * rope.lengthFactor()));
  }

  /** Factor on the attention scores. */
  public float attentionScale() {
    return (float) (1 / Math.sqrt(headDim));
  }

  /** Weights of all matrices; norms and biases are too few to count. */
  public long parameters() {
    return matmulParameters() + (tiedEmbeddings ? 0 : (long) vocabSize * hidden);
  }

  /** Weights that every token is multiplied with, the output matrix included. */
  public long matmulParameters() {
    long attention = (2L * heads + 2L * kvHeads) * headDim * hidden;
    long feedForward = 3L * hidden * intermediate;
    return layers * (attention + feedForward) + (long) vocabSize * hidden;
  }
}
