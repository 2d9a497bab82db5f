package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.NativeLora.Addend;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Matrix products in C; a unit is some tiles with some panels. Owned by the executor thread; units
 * are run by the pool.
 *
 * <p>Units are claimed one by one, so they should be many enough to end together and large enough
 * that claims stay rare. A tile is a stream of its own; its panels share it in the second-level
 * cache, which is why panels are only split where tiles alone are too few.
 */
final class NativeMatmul {
  /** What becomes of a product; codes are those of {@code verdier.h}. */
  enum Epilogue {
    STORE(0),
    ADD(1),
    GATE(2);

    private final int code;

    Epilogue(int code) {
      this.code = code;
    }
  }

  private static final int FIELDS = 21;

  private final KernelLibrary library;
  private final ComputePool pool;
  private final NextWeights next;
  private final Arena arena;
  private final Job job;
  private final NativeOperand none;
  private MemorySegment scratch = MemorySegment.NULL;
  private long scratchBytes;

  NativeMatmul(KernelLibrary library, ComputePool pool, NextWeights next, Arena arena) {
    this.library = library;
    this.pool = pool;
    this.next = next;
    this.arena = arena;
    job = new Job(library.matmul, arena);
    none = new NativeOperand(OperandFormat.BF16, 0, 0, arena);
  }

  void multiply(NativeOperand in, NativeMatrix weight, Epilogue epilogue, NativeTensor out) {
    job.addend = Addend.NONE;
    run(in, weight, epilogue, out.address(), out.stride(), none);
  }

  /**
   * @param addend what adapters add before gate and up meet
   */
  void gate(NativeOperand in, NativeMatrix weight, NativeOperand out, Addend addend) {
    job.addend = addend;
    run(in, weight, Epilogue.GATE, 0, 0, out.written());
  }

  /** As {@link #multiply}, and copies each unit's product to the heap while it is in the cache. */
  void toHeap(NativeOperand in, NativeMatrix weight, NativeTensor through, float[] out) {
    job.heap = out;
    job.through = through;
    multiply(in, weight, Epilogue.STORE, through);
    job.heap = null;
    job.through = null;
  }

  private void run(
      NativeOperand in,
      NativeMatrix weight,
      Epilogue epilogue,
      long out,
      int stride,
      NativeOperand gated) {
    if (in.format() != weight.format().operand()) {
      throw new IllegalStateException(in.format() + " inputs for " + weight.format() + " weights");
    }
    int rows = in.rows();
    if (rows == 0) {
      return;
    }
    int panels = library.panels(in.format(), rows);
    TileUnits units = job.units;
    units.plan(weight, rows, panels, tilesTogether(in, epilogue), pool.threads());
    int slicesMax = job.heap == null ? panels : 1; // a unit copies whole columns to the heap
    int slicesMin = (2 * pool.threads() + units.count() - 1) / units.count();
    int slices = Math.clamp(slicesMin, 1, slicesMax);
    int panelsPerUnit = (panels + slices - 1) / slices;
    slices = (panels + panelsPerUnit - 1) / panelsPerUnit;
    reserveScratch(rows, units.tilesMax());
    job.shape(rows, weight.rows());
    job.args
        .start()
        .put(in.read())
        .put(weight.data().address())
        .put(weight.start().address())
        .put(weight.format().code())
        .put(units.address())
        .put((long) panelsPerUnit)
        .put((long) epilogue.code)
        .put(out)
        .put((long) stride)
        .put((long) weight.rows())
        .put(gated)
        .put(scratch.address())
        .put(scratchBytes)
        .put(job.addend.data())
        .put(job.addend.places())
        .end();
    next.begin(weight, units);
    pool.run(job, units.count() * slices);
  }

  /** Gated tiles come in pairs that give a group of the operand, or of bytes a whole block. */
  private static int tilesTogether(NativeOperand in, Epilogue epilogue) {
    if (epilogue != Epilogue.GATE) {
      return 1;
    }
    return in.format() == OperandFormat.INT8 ? 16 : 2;
  }

  private void reserveScratch(int rows, int tiles) {
    long needed = library.matmulScratch(rows, tiles);
    if (needed > scratchBytes) {
      scratch = NativeMemory.allocate(needed * pool.threads(), arena);
      scratchBytes = needed;
    }
  }

  /** The kernel, and the copy to the heap where one is asked for. */
  private static final class Job extends NativeJob {
    private Addend addend = Addend.NONE;
    private float @Nullable [] heap;
    private @Nullable NativeTensor through;
    private int rows;
    private int columns;
    private final TileUnits units;

    Job(MemorySegment function, Arena arena) {
      super(function, FIELDS, arena);
      units = new TileUnits(arena);
    }

    void shape(int rowCount, int columnCount) {
      rows = rowCount;
      columns = columnCount;
    }

    @Override
    public void run(int unit, int worker) {
      super.run(unit, worker);
      float[] to = heap;
      NativeTensor from = through;
      if (to == null || from == null) {
        return;
      }
      int column = units.firstTile(unit) * WeightFormat.TILE_ROWS;
      int end = Math.min(columns, units.firstTile(unit + 1) * WeightFormat.TILE_ROWS);
      for (int row = 0; row < rows; row++) {
        from.copyOut(row, column, to, row * columns + column, end - column);
      }
    }
  }
}
