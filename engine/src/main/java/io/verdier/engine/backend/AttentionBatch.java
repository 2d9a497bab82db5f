package io.verdier.engine.backend;

import java.util.Arrays;
import java.util.function.IntUnaryOperator;

/**
 * The tokens of one step: slices of consecutive tokens, one per sequence, laid end to end. Owned by
 * the executor thread, and used again for every step.
 *
 * <pre>
 *   row        0   1   2   3   4   5        slice 0: four tokens of a prompt, positions 7..10
 *   token      a   b   c   d   e   f        slice 1: one token of a sequence at position 40
 *   position   7   8   9  10  40   3        slice 2: one at position 3
 *   slice      0   0   0   0   1   2
 * </pre>
 *
 * <p>Operations see the selected rows, which may begin and end within a slice.
 */
public final class AttentionBatch {
  /** In place of an adapter's slot. */
  public static final int NO_ADAPTER = -1;

  private final int[] tokens;
  private final int[] positions;
  private final int[] slices;
  private final int[] sliceEnds;
  private final int[][] tables;
  private final int[] adapters; // of slices
  private int adapted; // slices that have one
  private int rows;
  private int sliceCount;
  private int first;
  private int count;
  private long version;

  /**
   * @param rowsMax tokens in a step
   * @param slicesMax sequences in a step
   */
  public AttentionBatch(int rowsMax, int slicesMax) {
    tokens = new int[rowsMax];
    positions = new int[rowsMax];
    slices = new int[rowsMax];
    sliceEnds = new int[slicesMax];
    tables = new int[slicesMax][];
    adapters = new int[slicesMax];
  }

  /**
   * Stands for the token that the chunk run last has chosen, or will have, in a place: only its
   * device knows it.
   *
   * @return a negative number, which is no token
   */
  public static int sampled(int index) {
    return ~index;
  }

  public int rowsMax() {
    return tokens.length;
  }

  /** Sequences that a step may have. */
  public int slicesMax() {
    return sliceEnds.length;
  }

  /** Changes with the batch: who has copied it can tell whether the copy is still good. */
  public long version() {
    return version;
  }

  public void clear() {
    version++;
    Arrays.fill(tables, 0, sliceCount, null);
    rows = 0;
    sliceCount = 0;
    adapted = 0;
    select(0, 0);
  }

  /** Appends a slice of a sequence without an adapter; the parameters are those of the other. */
  public void add(IntUnaryOperator source, int position, int tokenCount, int[] table) {
    add(source, position, tokenCount, table, NO_ADAPTER);
  }

  /**
   * Appends a slice and selects all rows.
   *
   * @param source the sequence's token at a position, or {@link #sampled}
   * @param position of the slice's first token
   * @param tokenCount length of the slice
   * @param table the sequence's blocks; must cover the slice, and stay as it is during the step
   * @param adapter slot of the sequence's adapter, or {@link #NO_ADAPTER}
   */
  public void add(IntUnaryOperator source, int position, int tokenCount, int[] table, int adapter) {
    if (rows + tokenCount > tokens.length || sliceCount == sliceEnds.length) {
      throw new IllegalStateException(
          "step of more than " + tokens.length + " tokens or " + sliceEnds.length + " sequences");
    }
    for (int i = 0; i < tokenCount; i++) {
      tokens[rows + i] = source.applyAsInt(position + i);
      positions[rows + i] = position + i;
      slices[rows + i] = sliceCount;
    }
    version++;
    rows += tokenCount;
    tables[sliceCount] = table;
    adapters[sliceCount] = adapter;
    adapted += adapter == NO_ADAPTER ? 0 : 1;
    sliceEnds[sliceCount++] = rows;
    select(0, rows);
  }

  /**
   * Becomes the same batch, for another rank to move its own window over. Block tables stay shared.
   *
   * @param other of at most this batch's size
   */
  public void copyFrom(AttentionBatch other) {
    clear();
    if (other.rows > tokens.length || other.sliceCount > sliceEnds.length) {
      throw new IllegalStateException(other.rows + " rows for room of " + tokens.length);
    }
    rows = other.rows;
    sliceCount = other.sliceCount;
    System.arraycopy(other.tokens, 0, tokens, 0, rows);
    System.arraycopy(other.positions, 0, positions, 0, rows);
    System.arraycopy(other.slices, 0, slices, 0, rows);
    System.arraycopy(other.sliceEnds, 0, sliceEnds, 0, sliceCount);
    System.arraycopy(other.tables, 0, tables, 0, sliceCount);
    System.arraycopy(other.adapters, 0, adapters, 0, sliceCount);
    adapted = other.adapted;
    select(0, rows);
  }

  /** All rows of the step. */
  public int rows() {
    return rows;
  }

  /** Moves the window that operations see. */
  public void select(int firstRow, int rowCount) {
    if (firstRow < 0 || rowCount < 0 || firstRow + rowCount > rows) {
      throw new IndexOutOfBoundsException(firstRow + " + " + rowCount + " of " + rows + " rows");
    }
    first = firstRow;
    count = rowCount;
  }

  /** First selected row. */
  public int first() {
    return first;
  }

  /** Number of selected rows. */
  public int count() {
    return count;
  }

  /** Tokens by row, to be copied; only the first {@link #rows} of the array are meant. */
  public int[] tokens() {
    return tokens;
  }

  /** Positions by row, likewise. */
  public int[] positions() {
    return positions;
  }

  public int token(int row) {
    return tokens[row];
  }

  public int position(int row) {
    return positions[row];
  }

  /** Index of the slice that holds a row. */
  public int slice(int row) {
    return slices[row];
  }

  /** Slices of the step. */
  public int slices() {
    return sliceCount;
  }

  /** First row of a slice. */
  public int sliceStart(int slice) {
    return slice == 0 ? 0 : sliceEnds[slice - 1];
  }

  /** Row behind a slice's last. */
  public int sliceEnd(int slice) {
    return sliceEnds[slice];
  }

  /** Slot of a slice's adapter, or {@link #NO_ADAPTER}. */
  public int adapter(int slice) {
    return adapters[slice];
  }

  /** Whether any slice has an adapter. */
  public boolean hasAdapters() {
    return adapted > 0;
  }

  /** Block ids of a slice's sequence, in order of position; may be longer than needed. */
  public int[] table(int slice) {
    return tables[slice];
  }
}
