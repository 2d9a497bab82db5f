package io.verdier.engine.backend.cpu;

/**
 * A job over rows that do not depend on each other. Set up by the executor thread, run by the pool;
 * made once and used again, so that a step allocates nothing.
 */
abstract class RowsJob implements ComputePool.Job {
  private static final int ELEMENTS_PER_UNIT = 8192;

  private int rows;
  private int rowsPerUnit = 1;

  /** Computes one selected row. */
  abstract void row(int row, int worker);

  /** Runs all rows; on the calling thread alone if they are less work than waking another. */
  final void run(ComputePool pool, int rowCount, int columns) {
    rows = rowCount;
    rowsPerUnit = Math.max(1, ELEMENTS_PER_UNIT / Math.max(1, columns));
    int units = (rows + rowsPerUnit - 1) / rowsPerUnit;
    if (units <= 2) {
      pool.runAlone(this, units);
    } else {
      pool.run(this, units);
    }
  }

  @Override
  public final void run(int unit, int worker) {
    int end = Math.min(rows, (unit + 1) * rowsPerUnit);
    for (int row = unit * rowsPerUnit; row < end; row++) {
      row(row, worker);
    }
  }
}
