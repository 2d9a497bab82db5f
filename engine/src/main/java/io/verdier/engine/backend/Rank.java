package io.verdier.engine.backend;

/**
 * One of the ranks that share a model: each has some heads and some columns of every layer, a
 * backend of its own, and a thread of its own. Immutable.
 *
 * @param index from 0 on; the first one also chooses tokens
 * @param size how many ranks there are
 */
public record Rank(int index, int size) {
  /** Who has the whole model. */
  public static final Rank ALONE = new Rank(0, 1);

  public Rank {
    if (size < 1 || index < 0 || index >= size) {
      throw new IllegalArgumentException("rank " + index + " of " + size);
    }
  }

  public boolean isFirst() {
    return index == 0;
  }

  public boolean isAlone() {
    return size == 1;
  }

  /** This rank's part of things that cannot be divided evenly: the first ranks have one more. */
  public int share(int total) {
    return total / size + (index < total % size ? 1 : 0);
  }

  @Override
  public String toString() {
    return "rank " + index + " of " + size;
  }
}
