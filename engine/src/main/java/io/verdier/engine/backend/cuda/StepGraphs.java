package io.verdier.engine.backend.cuda;

import java.util.HashMap;
import java.util.Map;

/**
 * Steps that were captured: all launches of one forward pass, to be repeated with a single call.
 * Owned by the executor thread.
 *
 * <p>What differs from step to step (tokens, positions, blocks, how many there are) lies in {@link
 * StepInputs}; what is frozen into a graph are addresses and grids. A graph therefore serves all
 * steps of up to so many rows as it was captured for, however long their contexts are, but for one
 * kernel that only long ones need. Rows are rounded up, to few enough values that all can be
 * captured, and fine enough that little is launched in vain.
 */
final class StepGraphs {
  private final CudaDriver driver;
  private final Map<Form, CudaDriver.Graph> graphs = new HashMap<>();
  private final int rowsMax;

  /**
   * What a graph is captured for.
   *
   * @param rows as {@link #roundedRows} has them; 0: nothing is captured
   * @param folds whether attention's partial results are brought together by a kernel of their own
   */
  record Form(int rows, boolean folds) {
    static final Form NONE = new Form(0, false);

    static Form of(int rows, boolean folds) {
      return new Form(roundedRows(rows), folds);
    }
  }

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
   * The graph of a form, captured now if it was not yet.
   *
   * @param launches of a step of that form
   */
  CudaDriver.Graph of(Form form, Runnable launches) {
    CudaDriver.Graph graph = graphs.get(form);
    if (graph == null) {
      graph = driver.capture(launches);
      graphs.put(form, graph);
    }
    return graph;
  }

  /** Forgets all graphs: an address that they hold is about to change. */
  void clear() {
    graphs.values().forEach(driver::release);
    graphs.clear();
  }
}
