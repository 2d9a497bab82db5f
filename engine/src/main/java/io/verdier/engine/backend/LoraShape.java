package io.verdier.engine.backend;

import java.util.List;

/**
 * Room for adapters: how many are there at once, and what they may change. Immutable.
 *
 * @param slots adapters that are there at once
 * @param rankMax highest rank
 * @param products the model's multiplications that an adapter may add to, found by index
 */
public record LoraShape(int slots, int rankMax, List<Product> products) {

  /**
   * One multiplication. Its matrix may be a stack of several of the checkpoint's, which adapters
   * know by themselves.
   *
   * @param columns of its input
   * @param partRows outputs of each part, one to three
   */
  public record Product(int columns, List<Integer> partRows) {
    private static final int PARTS_MAX = 3; // queries, keys, values

    public Product {
      partRows = List.copyOf(partRows);
      if (partRows.isEmpty() || partRows.size() > PARTS_MAX) {
        throw new IllegalArgumentException(partRows.size() + " parts; 1 to 3 are possible.");
      }
    }

    /** Outputs of all parts. */
    public int rows() {
      int rows = 0;
      for (int part : partRows) {
        rows += part;
      }
      return rows;
    }
  }

  public LoraShape {
    products = List.copyOf(products);
    if (slots < 1 || rankMax < 1) {
      throw new IllegalArgumentException(slots + " slots of rank " + rankMax);
    }
  }

  /**
   * Numbers the parts of all products through: the index of each product's first, and at the end
   * how many there are. To be kept: it is counted anew.
   */
  public int[] firstParts() {
    int[] first = new int[products.size() + 1];
    for (int i = 0; i < products.size(); i++) {
      first[i + 1] = first[i] + products.get(i).partRows.size();
    }
    return first;
  }
}
