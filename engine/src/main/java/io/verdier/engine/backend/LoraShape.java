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
   * @param columns of its input: of tokens, how many there are
   * @param partRows outputs of each part, one to three; of tokens one
   */
  public record Product(Input input, int columns, List<Integer> partRows) {
    private static final int PARTS_MAX = 3; // queries, keys, values

    /** What the first factors are multiplied with. */
    public enum Input {
      /** Rows of an operand. */
      ROWS,
      /** Tokens, which are numbers of columns: a column is looked up and nothing multiplied. */
      TOKENS
    }

    public Product {
      partRows = List.copyOf(partRows);
      int partsMax = input == Input.TOKENS ? 1 : PARTS_MAX;
      if (partRows.isEmpty() || partRows.size() > partsMax) {
        throw new IllegalArgumentException(
            partRows.size() + " parts; 1 to " + partsMax + " are possible.");
      }
    }

    /** A product of rows. */
    public Product(int columns, List<Integer> partRows) {
      this(Input.ROWS, columns, partRows);
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
