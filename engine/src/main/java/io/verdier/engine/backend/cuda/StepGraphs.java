package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;

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
  private Form captured = Form.NONE;

  /**
   * What a graph is captured for.
   *
   * @param rows as {@link #roundedRows} has them; 0: nothing is captured
   * @param folds whether attention's partial results are brought together by a kernel of their own
   * @param hasAdapters whether any row has an adapter: then there are more launches
   */
  record Form(int rows, boolean folds, boolean hasAdapters) {
    static final Form NONE = new Form(0, false, false);

    static Form of(AttentionBatch batch, boolean folds) {
      return new Form(roundedRows(batch.rows()), folds, batch.hasAdapters());
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

  /** Numbers of rows whose graphs serve all steps of up to so many. */
  int[] preparedRows(int most) {
    return IntStream.rangeClosed(1, most)
        .filter(this::serves)
        .map(rows -> Math.min(most, roundedRows(rows)))
        .distinct()
        .toArray();
  }

  /**
   * The graph of a form, captured now if it was not yet.
   *
   * @param operations a step of that form
   */
  CudaDriver.Graph of(Form form, Runnable operations) {
    CudaDriver.Graph graph = graphs.get(form);
    if (graph == null) {
      captured = form;
      try {
        graph = driver.capture(operations);
      } finally {
        captured = Form.NONE;
      }
      graphs.put(form, graph);
    }
    return graph;
  }

  /** Of the graph that is being captured. */
  Form captured() {
    return captured;
  }

  /** Forgets all graphs: an address that they hold is about to change. */
  void clear() {
    graphs.values().forEach(driver::release);
    graphs.clear();
  }
}
