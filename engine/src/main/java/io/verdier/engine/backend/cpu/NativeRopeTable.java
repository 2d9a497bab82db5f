package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** {@link CpuRopeTable}'s pages outside the heap. Owned by the executor thread. */
final class NativeRopeTable implements Backend.RopeTable {
  private final CpuRopeTable table;
  private final Arena arena;
  private @Nullable MemorySegment[] pages = {};

  NativeRopeTable(CpuRopeTable table, Arena arena) {
    this.table = table;
    this.arena = arena;
  }

  @Override
  public int headDim() {
    return table.headDim();
  }

  /** Where a position's cosines lie, its sines right behind them. */
  long address(int position) {
    int page = position / CpuRopeTable.PAGE;
    if (page >= pages.length) {
      pages = Arrays.copyOf(pages, Math.max(page + 1, pages.length * 2));
    }
    MemorySegment found = pages[page];
    if (found == null) {
      float[] values = table.take(position);
      found = arena.allocate((long) values.length * Float.BYTES, 64);
      MemorySegment.copy(values, 0, found, ValueLayout.JAVA_FLOAT, 0, values.length);
      pages[page] = found;
    }
    return found.address() + (long) table.at(position) * Float.BYTES;
  }
}
