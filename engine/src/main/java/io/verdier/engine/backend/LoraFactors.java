package io.verdier.engine.backend;

import io.verdier.engine.backend.LoraShape.Product;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.WeightsException;

/**
 * What an adapter adds to one part of a product: {@code scale · b · a} times its input (Hu et al.,
 * "LoRA", 2021). Immutable.
 *
 * @param product index in {@link LoraShape#products}
 * @param part index in {@link Product#partRows}
 * @param a {@code [rank, columns]}
 * @param b {@code [part's rows, rank]}
 * @param scale alpha / rank, or what else the adapter says
 */
public record LoraFactors(int product, int part, StoredTensor a, StoredTensor b, float scale) {

  public int rank() {
    return a.rows();
  }

  /**
   * Checks that they fit.
   *
   * @throws WeightsException if not; the text names both numbers
   */
  public void require(LoraShape shape) {
    Product adapted = shape.products().get(product);
    int rows = adapted.partRows().get(part);
    if (rank() > shape.rankMax()) {
      throw new WeightsException(
          a.name() + " has rank " + rank() + "; there is room for " + shape.rankMax() + ".");
    }
    a.requireShape(rank(), adapted.columns());
    b.requireShape(rows, rank());
  }
}
