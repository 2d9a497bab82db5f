package io.verdier.engine.model;

import io.verdier.engine.backend.LoraFactors;
import io.verdier.engine.backend.LoraShape;
import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.backend.LoraShape.Product.Input;
import java.util.ArrayList;
import java.util.List;

/**
 * The multiplications of a model that adapters may add to, numbered layer by layer as {@link
 * LoraShape} has them. In a layer they are, with the parts of stacked matrices:
 *
 * <pre>
 *   0  queries, keys, values      1  output      2  gate, up      3  down
 * </pre>
 *
 * <p>Behind all layers come the embedding, whose input are tokens, and the output matrix. Where
 * they are one matrix, adapters still have factors for each: they add to the use that they name.
 */
public enum AdaptedProducts {
  QUERY_KEY_VALUE(0),
  OUTPUT(1),
  GATE_UP(2),
  DOWN(3);

  /** Counted once: {@code values()} makes an array each time, and steps ask often. */
  private static final int PER_LAYER = values().length;

  private static final int BEHIND_LAYERS = 2;

  private final int place; // in a layer

  AdaptedProducts(int place) {
    this.place = place;
  }

  /** Index of this product in a layer. */
  public int index(int layer) {
    return layer * PER_LAYER + place;
  }

  /** Layers of a model of so many products. */
  public static int layers(int products) {
    return (products - BEHIND_LAYERS) / PER_LAYER;
  }

  /** Index of the embedding in a model of so many products. */
  public static int embedding(int products) {
    return products - BEHIND_LAYERS;
  }

  /** Index of the output matrix in a model of so many products. */
  public static int head(int products) {
    return products - 1;
  }

  /** What an adapter of the whole model has for one rank. */
  static LoraFactors ofShard(LoraFactors whole, Shard shard) {
    int behind = whole.product() - shard.local().layers() * PER_LAYER;
    if (behind >= 0) {
      return behind == 0 ? whole : rows(whole, shard.logits()); // every rank embeds all tokens
    }
    return switch (values()[whole.product() % PER_LAYER]) {
      case QUERY_KEY_VALUE -> rows(whole, whole.part() == 0 ? shard.queries() : shard.keys());
      case OUTPUT -> columns(whole, shard.queries());
      case GATE_UP -> rows(whole, shard.intermediate());
      case DOWN -> columns(whole, shard.intermediate());
    };
  }

  private static LoraFactors rows(LoraFactors whole, Shard.Range range) {
    return new LoraFactors(
        whole.product(),
        whole.part(),
        whole.a(),
        whole.b().rows(range.first(), range.count()),
        whole.scale());
  }

  private static LoraFactors columns(LoraFactors whole, Shard.Range range) {
    return new LoraFactors(
        whole.product(),
        whole.part(),
        whole.a().columns(range.first(), range.count()),
        whole.b(),
        whole.scale());
  }

  /**
   * Room for adapters of a whole model, or of a rank's part of one.
   *
   * @param slots adapters that a step may have
   */
  static LoraShape shape(Shard shard, int slots, int rankMax) {
    ModelSpec spec = shard.local();
    int queries = spec.heads() * spec.headDim();
    int keys = spec.kvHeads() * spec.headDim();
    List<Product> products = new ArrayList<>();
    for (int i = 0; i < spec.layers(); i++) {
      products.add(new Product(spec.hidden(), List.of(queries, keys, keys)));
      products.add(new Product(queries, List.of(spec.hidden())));
      products.add(new Product(spec.hidden(), List.of(spec.intermediate(), spec.intermediate())));
      products.add(new Product(spec.intermediate(), List.of(spec.hidden())));
    }
    products.add(new Product(Input.TOKENS, spec.vocabSize(), List.of(spec.hidden())));
    products.add(new Product(spec.hidden(), List.of(shard.logits().count())));
    return new LoraShape(slots, rankMax, products);
  }
}
