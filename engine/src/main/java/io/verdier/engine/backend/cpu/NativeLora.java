package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * Additions of adapters in C. Owned by the executor thread; units are run by the pool.
 *
 * <p>Two jobs: what the first factor makes of a piece's rows, in units of some ranks, and what the
 * second adds to them, in units of some outputs. Where tokens are the input, the first has nothing
 * to compute: the executor thread looks a few numbers up for each row.
 */
final class NativeLora {
  private static final int PIECE_FIELDS = 9;
  private static final int FIELDS = 13;
  private static final int RANKS_PER_UNIT = 16;
  private static final int TILES_PER_UNIT = 64; // of 16 outputs
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private final ComputePool pool;
  private final Arena arena;
  private final NativeJob shrink;
  private final NativeJob expand;
  private final NativeOperand none;
  private final LoraRows rows = new LoraRows(8);
  private MemorySegment pieces = MemorySegment.NULL; // of PIECE_FIELDS
  private MemorySegment low = MemorySegment.NULL; // [places of pieces][rankMax] f32
  private MemorySegment inputs = MemorySegment.NULL; // [places] s32: rows of the input
  private MemorySegment places = MemorySegment.NULL; // [rows] s32
  private MemorySegment addend = MemorySegment.NULL; // [places][outputs] f32
  private Target target = new Target(0, 0, false);
  private int rankMax;
  private int outputsMax;

  /**
   * What is added to.
   *
   * @param byPlace whether it has a row for each place, and not for each row of the input
   */
  private record Target(long address, int stride, boolean byPlace) {}

  NativeLora(KernelLibrary library, ComputePool pool, Arena arena) {
    this.pool = pool;
    this.arena = arena;
    shrink = new NativeJob(library.loraShrink, FIELDS, arena);
    expand = new NativeJob(library.loraExpand, FIELDS, arena);
    none = new NativeOperand(OperandFormat.BF16, 0, 0, arena);
  }

  /** Which rows the next call works on. */
  LoraRows rows() {
    return rows;
  }

  /** Adds to the rows of a product. */
  void add(NativeTensor out, NativeOperand in) {
    collect(new Target(out.address(), out.stride(), false));
    shrink(in);
    expand();
  }

  /** Adds to the rows of a product whose inputs are the batch's tokens. */
  void add(NativeTensor out, AttentionBatch batch) {
    collect(new Target(out.address(), out.stride(), false));
    lookUp(batch);
    expand();
  }

  /** What adapters add to gate and up; {@code places} has each row's. */
  record Addend(long data, long places) {
    static final Addend NONE = new Addend(0, 0);
  }

  /** Works out what is added before gate and up meet, {@code [places][columns]}. */
  Addend addend(int columns, NativeOperand in) {
    long bytes = (long) rows.count() * columns * Float.BYTES;
    if (addend.byteSize() < bytes) {
      addend = NativeMemory.allocate(bytes * 2, arena);
    }
    addend.asSlice(0, bytes).fill((byte) 0); // a part without an adapter adds nothing
    collect(new Target(addend.address(), columns, true));
    shrink(in);
    expand();
    int selected = in.rows();
    places = fitting(places, (long) selected * Integer.BYTES);
    MemorySegment.copy(rows.places(), 0, places, ValueLayout.JAVA_INT, 0, selected);
    return new Addend(addend.address(), places.address());
  }

  /** Lists what there is to do. */
  private void collect(Target to) {
    target = to;
    inputs = fitting(inputs, (long) rows.count() * Integer.BYTES);
    MemorySegment.copy(rows.rows(), 0, inputs, ValueLayout.JAVA_INT, 0, rows.count());
    pieces = fitting(pieces, (long) rows.pieces() * PIECE_FIELDS * Long.BYTES);
    rankMax = 0;
    outputsMax = 0;
    int firstLow = 0;
    for (int piece = 0; piece < rows.pieces(); piece++) {
      put(piece, firstLow);
      firstLow += rows.placeCount(piece);
    }
    low = fitting(low, (long) firstLow * rankMax * Float.BYTES);
  }

  private void put(int piece, int firstLow) {
    CpuLoraImage.Part factors = rows.factors(piece);
    long at = (long) piece * PIECE_FIELDS;
    pieces.setAtIndex(LONG, at, rows.firstPlace(piece));
    pieces.setAtIndex(LONG, at + 1, rows.placeCount(piece));
    pieces.setAtIndex(LONG, at + 2, firstLow);
    pieces.setAtIndex(LONG, at + 3, rows.firstColumn(piece));
    pieces.setAtIndex(LONG, at + 4, factors.rank());
    pieces.setAtIndex(LONG, at + 5, factors.rows());
    pieces.setAtIndex(ValueLayout.JAVA_DOUBLE, at + 6, factors.scale());
    pieces.setAtIndex(LONG, at + 7, factors.a().address());
    pieces.setAtIndex(LONG, at + 8, factors.b().address());
    rankMax = Math.max(rankMax, factors.rank());
    outputsMax = Math.max(outputsMax, factors.rows());
  }

  private MemorySegment fitting(MemorySegment segment, long bytes) {
    return segment.byteSize() < bytes ? arena.allocate(2 * bytes, 64) : segment;
  }

  private void shrink(NativeOperand in) {
    run(shrink, in.read(), rankMax, RANKS_PER_UNIT);
  }

  /** What the first job leaves, in the order in which {@link #collect} lists it. */
  private void lookUp(AttentionBatch batch) {
    long to = 0;
    for (int piece = 0; piece < rows.pieces(); piece++) {
      CpuLoraImage.Part factors = rows.factors(piece);
      for (int i = 0; i < rows.placeCount(piece); i++) {
        int token = batch.token(batch.first() + rows.row(rows.firstPlace(piece) + i));
        Objects.checkIndex(token, factors.columns());
        for (int r = 0; r < factors.rank(); r++) {
          low.setAtIndex(ValueLayout.JAVA_FLOAT, to + r, factors.lookUp(token, r));
        }
        to += rankMax;
      }
    }
  }

  private void expand() {
    run(expand, none, slices(outputsMax, CpuLoraImage.LANES), TILES_PER_UNIT);
  }

  private static int slices(int count, int each) {
    return (count + each - 1) / each;
  }

  /** Runs a job over so many ranks or tiles of each piece. */
  private void run(NativeJob job, NativeOperand in, int most, int perUnit) {
    if (rows.pieces() == 0) {
      return;
    }
    int slices = slices(most, perUnit);
    job.args
        .start()
        .put(in)
        .put(pieces.address())
        .put(inputs.address())
        .put(target.address())
        .put((long) target.stride())
        .put(target.byPlace() ? 1L : 0L)
        .put(low.address())
        .put((long) rankMax)
        .put((long) slices)
        .put((long) perUnit)
        .end();
    pool.run(job, rows.pieces() * slices);
  }
}
