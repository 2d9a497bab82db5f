package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * Additions of adapters in C. Owned by the executor thread; units are run by the pool.
 *
 * <p>Two jobs: what the first factor makes of a row, a unit for each row and part of the product,
 * and what the second adds to it, in units of some outputs. Where tokens are the input, the first
 * has nothing to compute: the executor thread looks a few numbers up for each row.
 */
final class NativeLora {
  private static final int PART_FIELDS = 7;
  private static final int FIELDS = 9;
  private static final int TILES_PER_UNIT = 64; // of 16 outputs
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private final ComputePool pool;
  private final Arena arena;
  private final NativeJob shrink;
  private final NativeJob expand;
  private final NativeOperand none;
  private final LoraRows rows = new LoraRows();
  private MemorySegment parts = MemorySegment.NULL; // [parts] of PART_FIELDS
  private MemorySegment low = MemorySegment.NULL; // [parts][lowStride] f32
  private MemorySegment places = MemorySegment.NULL; // [rows] s32
  private MemorySegment addend = MemorySegment.NULL; // [places][outputs] f32
  private int count; // of parts
  private int rankMax;
  private int outputsMax;

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
    collect(out.address(), out.stride(), false);
    shrink(in);
    expand();
  }

  /** Adds to the rows of a product whose inputs are the batch's tokens. */
  void add(NativeTensor out, AttentionBatch batch) {
    collect(out.address(), out.stride(), false);
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
    collect(addend.address(), columns, true);
    shrink(in);
    expand();
    int selected = in.rows();
    if (places.byteSize() < (long) selected * Integer.BYTES) {
      places = arena.allocate((long) selected * 2 * Integer.BYTES, 64);
    }
    MemorySegment.copy(rows.places(), 0, places, ValueLayout.JAVA_INT, 0, selected);
    return new Addend(addend.address(), places.address());
  }

  /** Lists what there is to do. */
  private void collect(long out, int stride, boolean byPlace) {
    reserve(rows.count() * rows.partCount());
    count = 0;
    rankMax = 0;
    outputsMax = 0;
    for (int place = 0; place < rows.count(); place++) {
      int row = rows.row(place);
      long to = out + (long) (byPlace ? place : row) * stride * Float.BYTES;
      for (int part = 0; part < rows.partCount(); part++) {
        CpuLoraImage.Part factors = rows.part(place, part);
        if (factors != null) {
          put(row, factors, to + (long) rows.firstColumn(part) * Float.BYTES);
        }
      }
    }
    if (low.byteSize() < (long) count * lowStride() * Float.BYTES) {
      low = arena.allocate((long) count * 2 * lowStride() * Float.BYTES, 64);
    }
  }

  private int lowStride() {
    return rankMax * CpuLoraImage.LANES;
  }

  private void reserve(int most) {
    if (parts.byteSize() < (long) most * PART_FIELDS * Long.BYTES) {
      parts = arena.allocate((long) most * 2 * PART_FIELDS * Long.BYTES, 64);
    }
  }

  private void put(int row, CpuLoraImage.Part factors, long to) {
    long at = (long) count++ * PART_FIELDS;
    parts.setAtIndex(LONG, at, row);
    parts.setAtIndex(LONG, at + 1, factors.rank());
    parts.setAtIndex(LONG, at + 2, factors.rows());
    parts.setAtIndex(ValueLayout.JAVA_DOUBLE, at + 3, factors.scale());
    parts.setAtIndex(LONG, at + 4, factors.a().address());
    parts.setAtIndex(LONG, at + 5, factors.b().address());
    parts.setAtIndex(LONG, at + 6, to);
    rankMax = Math.max(rankMax, factors.rank());
    outputsMax = Math.max(outputsMax, factors.rows());
  }

  private void shrink(NativeOperand in) {
    if (count > 0) {
      put(shrink, in.read());
      pool.run(shrink, count);
    }
  }

  /** What the first job leaves, in the order in which {@link #collect} lists it. */
  private void lookUp(AttentionBatch batch) {
    int part = 0;
    for (int place = 0; place < rows.count(); place++) {
      CpuLoraImage.Part factors = Objects.requireNonNull(rows.part(place, 0), "has an adapter");
      int token = batch.token(batch.first() + rows.row(place));
      Objects.checkIndex(token, factors.columns());
      long to = (long) part++ * lowStride();
      for (int r = 0; r < factors.rank(); r++) {
        low.setAtIndex(ValueLayout.JAVA_FLOAT, to + r, factors.lookUp(token, r));
      }
    }
  }

  private void expand() {
    if (count > 0) {
      put(expand, none);
      pool.run(expand, count * slices());
    }
  }

  private int slices() {
    int tiles = (outputsMax + CpuLoraImage.LANES - 1) / CpuLoraImage.LANES;
    return (tiles + TILES_PER_UNIT - 1) / TILES_PER_UNIT;
  }

  private void put(NativeJob job, NativeOperand in) {
    job.args
        .start()
        .put(in)
        .put(parts.address())
        .put(low.address())
        .put((long) lowStride())
        .put((long) slices())
        .put((long) TILES_PER_UNIT)
        .end();
  }
}
