package io.verdier.engine.backend.cuda;

import java.util.HashMap;
import java.util.Map;

/**
 * Steps that were captured: all launches of one forward pass, to be repeated with a single call.
 * Owned by the executor thread.
 *
 * <p>What differs from step to step (tokens, positions, blocks, how many there are) lies in {@link
 * StepInputs}; what is frozen into a graph are addresses and grids. A graph therefore serves all
 * steps of up to so many rows as it was captured for, however long their contexts are. Rows are
 * rounded up, to few enough values that all can be captured, and fine enough that little is
 * launched in vain.
 */
final class StepGraphs {
  private final CudaDriver driver;
  private final Map<Integer, CudaDriver.Graph> graphs = new HashMap<>();
  private final int rowsMax;

  /**
   * @param rowsMax steps with more rows are not captured
   */
  StepGraphs(CudaDriver driver, int rowsMax) {
    this.driver = driver;
    this.rowsMax = rowsMax;
  }

  /** Whether there may be a graph for so many sequences of one row each. */
  boolean serves(int rows) {
    return rows <= rowsMax;
  }

  /** 1, 2, 4, then multiples of 8. */
  static int roundedRows(int rows) {
    return rows <= 4 ? Integer.highestOneBit(2 * rows - 1) : (rows + 7) / 8 * 8;
  }

  /**
   * The graph that serves so many rows, captured now if it was not yet.
   *
   * @param launches of a step of {@link #roundedRows}
   */
  CudaDriver.Graph of(int rows, Runnable launches) {
    int rounded = roundedRows(rows);
    CudaDriver.Graph graph = graphs.get(rounded);
    if (graph == null) {
      graph = driver.capture(launches);
      graphs.put(rounded, graph);
    }
    return graph;
  }

  /** Forgets all graphs: an address that they hold is about to change. */
  void clear() {
    graphs.values().forEach(driver::release);
    graphs.clear();
  }
}
