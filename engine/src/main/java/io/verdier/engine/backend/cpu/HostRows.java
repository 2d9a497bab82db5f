package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Tensor;

/** A tensor whose floats every thread of the process can reach, row by row. */
interface HostRows extends Tensor {

  /**
   * Copies floats of a row.
   *
   * @param row of the selected ones
   */
  void read(int row, int column, int count, float[] to);

  /** Overwrites floats of a row with the first ones of an array. */
  void write(int row, int column, int count, float[] from);
}
