package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Operand;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Inputs of multiplications in panels ({@code verdier.h} has the picture). Owned by the executor
 * thread.
 *
 * <p>How rows are dealt into panels depends on how many are selected, so an operand is read with
 * the selection that it was written with; its numbers are a function of each row alone.
 */
final class NativeOperand implements Operand {
  private final MemorySegment data;
  private final OperandFormat format;
  private final int rowsMax;
  private final int columns;
  private final int groups;
  private int first;
  private int rows;
  private int writtenFirst = -1;
  private int writtenRows;

  NativeOperand(OperandFormat format, int rowsMax, int columns, Arena arena) {
    this.format = format;
    this.rowsMax = rowsMax;
    this.columns = columns;
    groups = (columns + WeightFormat.TILE_ROWS - 1) / WeightFormat.TILE_ROWS;
    data = NativeMemory.allocate((long) rowsMax * groups * format.groupBytes(), arena);
    rows = rowsMax;
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public int rowsMax() {
    return rowsMax;
  }

  @Override
  public int rows() {
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

  OperandFormat format() {
    return format;
  }

  int groups() {
    return groups;
  }

  /** Where the selected rows' panels begin. */
  long address() {
    return data.address() + (long) first * groups * format.groupBytes();
  }

  /** To be called before it is written. */
  NativeOperand written() {
    writtenFirst = first;
    writtenRows = rows;
    return this;
  }

  /** To be called before it is read. */
  NativeOperand read() {
    if (rows > 0 && writtenFirst >= 0 && (writtenFirst != first || writtenRows != rows)) {
      throw new IllegalStateException(
          "rows "
              + first
              + " + "
              + rows
              + " of an operand are read; written were "
              + writtenFirst
              + " + "
              + writtenRows);
    }
    return this;
  }
}
