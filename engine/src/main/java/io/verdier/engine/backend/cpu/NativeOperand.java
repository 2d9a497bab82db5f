package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Operand;
import io.verdier.engine.backend.RowWindow;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Inputs of multiplications in panels ({@code verdier.h} has the picture). Owned by the executor
 * thread.
 *
 * <p>How rows are dealt into panels depends on how many are selected, so an operand is read with
 * the selection that it was written with; its numbers are a function of each row alone.
 */
final class NativeOperand extends RowWindow implements Operand {
  private final MemorySegment data;
  private final OperandFormat format;
  private final int groups;
  private final long rowBytes;
  private int writtenFirst = -1;
  private int writtenRows;

  NativeOperand(OperandFormat format, int rowsMax, int columns, Arena arena) {
    super(rowsMax, columns);
    this.format = format;
    groups = format.groups(columns);
    rowBytes = format.rowBytes(columns);
    data = NativeMemory.allocate(rowsMax * rowBytes, arena);
  }

  OperandFormat format() {
    return format;
  }

  int groups() {
    return groups;
  }

  /** Where the selected rows' panels begin. */
  long address() {
    return data.address() + first() * rowBytes;
  }

  /** To be called before it is written. */
  NativeOperand written() {
    writtenFirst = first();
    writtenRows = rows();
    return this;
  }

  /** To be called before it is read. */
  NativeOperand read() {
    if (rows() > 0 && writtenFirst >= 0 && (writtenFirst != first() || writtenRows != rows())) {
      throw new IllegalStateException(
          "rows "
              + first()
              + " + "
              + rows()
              + " of an operand are read; written were "
              + writtenFirst
              + " + "
              + writtenRows);
    }
    return this;
  }
}
