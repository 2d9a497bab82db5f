package io.verdier.engine.weights;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * One tensor as it lies in a checkpoint: row-major, little-endian, read-only. Immutable; valid
 * while the {@link Weights} it came from are open. The byte size has been checked against shape and
 * type.
 *
 * @param shape lengths of the dimensions, outermost first; not to be changed
 * @param data the bytes, a view into the mapped file or a block of noise
 */
public record StoredTensor(String name, DType dtype, long[] shape, MemorySegment data) {

  /** A vector counts as one row. */
  public int rows() {
    return shape.length < 2 ? 1 : Math.toIntExact(shape[0]);
  }

  /** Length of the last dimension; 1 for a scalar. */
  public int columns() {
    return shape.length == 0 ? 1 : Math.toIntExact(shape[shape.length - 1]);
  }

  /**
   * Refuses any other shape and any type that no weight may have.
   *
   * @param expected what the model's configuration asks for
   */
  public StoredTensor requireShape(long... expected) {
    if (!dtype.isWeight()) {
      throw new WeightsException(
          "tensor " + name + " has type " + dtype + "; weights must be BF16, F16 or F32.");
    }
    if (!Arrays.equals(shape, expected)) {
      throw new WeightsException(
          "tensor "
              + name
              + " has shape "
              + Arrays.toString(shape)
              + "; config.json asks for "
              + Arrays.toString(expected)
              + ".");
    }
    return this;
  }
}
