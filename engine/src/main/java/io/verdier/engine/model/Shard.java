package io.verdier.engine.model;

import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Stage;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Which part of a model a rank of a stage has (Shoeybi et al., "Megatron-LM", 2019). Immutable.
 *
 * <pre>
 *   queries, keys, values   rows of some heads           output   the columns of these heads
 *   gate, up                some rows                    down     the columns of these rows
 *   output matrix           rows of some tokens          embedding, norms   all of it
 * </pre>
 *
 * <p>So a layer's two products that widen need nothing from other ranks, and the two that narrow
 * give each rank one addend of the sum. Where there are more ranks than key heads, several ranks
 * have the same key head: each of their query heads needs just that one.
 *
 * <p>A stage of a pipeline has some consecutive layers; the first one has the embedding besides,
 * the last one the final norm and the output matrix.
 *
 * @param local the whole model's numbers, but heads and widths of this rank, layers of this stage
 */
record Shard(Rank rank, Stage stage, ModelSpec whole, ModelSpec local) {

  /**
   * @throws ModelException if so many ranks cannot share the model evenly
   */
  static Shard of(ModelSpec spec, Rank rank) {
    if (rank.isAlone()) {
      return new Shard(rank, Stage.WHOLE, spec, spec);
    }
    int size = rank.size();
    if (!fits(spec, size)) {
      String possible =
          IntStream.rangeClosed(1, Math.min(size * 4, spec.heads()))
              .filter(ranks -> fits(spec, ranks))
              .mapToObj(Integer::toString)
              .collect(Collectors.joining(", "));
      throw new ModelException(
          "--tensor-parallel-size is %d; %d attention heads, %d key-value heads and a feed-forward width of %d cannot be shared evenly by so many ranks. Possible are %s."
              .formatted(size, spec.heads(), spec.kvHeads(), spec.intermediate(), possible));
    }
    ModelSpec local =
        spec.ofRank(
            spec.heads() / size, Math.max(1, spec.kvHeads() / size), spec.intermediate() / size);
    return new Shard(rank, Stage.WHOLE, spec, local);
  }

  /**
   * @throws ModelException if there are more stages than layers
   */
  static Shard of(ModelSpec spec, Stage stage) {
    if (stage.count() > spec.layers()) {
      throw new ModelException(
          "--pipeline-parallel-size is %d; the model has %d layers, and every stage needs one. Lower it to %d or less."
              .formatted(stage.count(), spec.layers(), spec.layers()));
    }
    ModelSpec local =
        stage.isWhole()
            ? spec
            : spec.ofStage(stage.firstLayer(spec.layers()), stage.layers(spec.layers()));
    return new Shard(Rank.ALONE, stage, spec, local);
  }

  /** The first of its layers, among all of the model. */
  int firstLayer() {
    return stage.firstLayer(whole.layers());
  }

  /** Whether so many ranks can share a model evenly. */
  static boolean fits(ModelSpec spec, int size) {
    boolean keys = spec.kvHeads() % size == 0 || size % spec.kvHeads() == 0;
    int width = (spec.vocabSize() + size - 1) / size;
    boolean tokens = (size - 1L) * width < spec.vocabSize(); // some for the last rank too
    return spec.heads() % size == 0 && keys && spec.intermediate() % size == 0 && tokens;
  }

  /** Elements of a tensor's dimension. Immutable. */
  record Range(int first, int count) {}

  /** Of the rows of queries, which are the columns of the output projection. */
  Range queries() {
    int count = local.heads() * local.headDim();
    return new Range(rank.index() * count, count);
  }

  /** Of the rows of keys, or of values. */
  Range keys() {
    int head = (int) ((long) rank.index() * whole.kvHeads() / rank.size());
    return new Range(head * local.headDim(), local.kvHeads() * local.headDim());
  }

  /** Of the rows of gate and up, which are the columns of down. */
  Range intermediate() {
    return new Range(rank.index() * local.intermediate(), local.intermediate());
  }

  /** Tokens whose logits a rank computes, the last rank perhaps fewer of them. */
  int logitsWidth() {
    return (whole.vocabSize() + rank.size() - 1) / rank.size();
  }

  /** Of the rows of the output matrix. */
  Range logits() {
    int first = Math.min(whole.vocabSize(), rank.index() * logitsWidth());
    return new Range(first, Math.min(logitsWidth(), whole.vocabSize() - first));
  }

  /**
   * Roughly what this rank's or stage's weights take of those of all: every rank has the embedding,
   * and of stages the first and the last one, each a matrix of that size.
   */
  long weightBytes(long all) {
    if (!stage.isWhole()) {
      long matrix = all * ((long) whole.vocabSize() * whole.hidden()) / whole.parameters();
      long layers = all - matrix * (whole.tiedEmbeddings() ? 1 : 2);
      int matrices = (stage.isFirst() ? 1 : 0) + (stage.isLast() ? 1 : 0);
      return layers * local.layers() / whole.layers() + matrix * matrices;
    }
    long embedding = all * ((long) whole.vocabSize() * whole.hidden()) / whole.parameters();
    return rank.isAlone() ? all : embedding + (all - embedding) / rank.size();
  }
}
