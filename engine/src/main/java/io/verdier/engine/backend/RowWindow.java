package io.verdier.engine.backend;

/** What tensors and operands of every backend have in common: how many rows, and which are seen. */
public abstract class RowWindow implements Rows {
  private final int rowsMax;
  private final int columns;
  private int first;
  private int rows;

  /** All rows are selected. */
  protected RowWindow(int rowsMax, int columns) {
    this.rowsMax = rowsMax;
    this.columns = columns;
    this.rows = rowsMax;
  }

  @Override
  public final int columns() {
    return columns;
  }

  @Override
  public final int rowsMax() {
    return rowsMax;
  }

  @Override
  public final int rows() {
    return rows;
  }

  @Override
  public void select(int firstRow, int count) {
    if (firstRow < 0 || count < 0 || firstRow + count > rowsMax) {
      throw new IndexOutOfBoundsException(firstRow + " + " + count + " of " + rowsMax + " rows");
    }
    first = firstRow;
    rows = count;
  }

  /** First selected row. */
  protected final int first() {
    return first;
  }

  /** Refuses columns that are not there. */
  protected final void requireColumns(int firstColumn, int count) {
    if (firstColumn < 0 || count < 0 || firstColumn + count > columns) {
      throw new IndexOutOfBoundsException(
          firstColumn + " + " + count + " of " + columns + " columns");
    }
  }
}
