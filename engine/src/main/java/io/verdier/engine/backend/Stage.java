package io.verdier.engine.backend;

/**
 * One of the stages of a pipeline: each has some consecutive layers, all of whose heads and columns
 * are its own. Immutable.
 *
 * @param index from 0 on; the first one also embeds tokens, the last one also chooses them
 * @param count how many stages there are
 */
public record Stage(int index, int count) {
  /** Who has all layers. */
  public static final Stage WHOLE = new Stage(0, 1);

  public Stage {
    if (count < 1 || index < 0 || index >= count) {
      throw new IllegalArgumentException("stage " + index + " of " + count);
    }
  }

  public boolean isFirst() {
    return index == 0;
  }

  public boolean isLast() {
    return index == count - 1;
  }

  public boolean isWhole() {
    return count == 1;
  }

  /** Of a model's layers, this stage's first one. */
  public int firstLayer(int layers) {
    return index * (layers / count) + Math.min(index, layers % count);
  }

  /** How many layers it has: where they cannot be divided evenly, earlier stages have one more. */
  public int layers(int layers) {
    return layers / count + (index < layers % count ? 1 : 0);
  }

  @Override
  public String toString() {
    return "stage " + index + " of " + count;
  }
}
