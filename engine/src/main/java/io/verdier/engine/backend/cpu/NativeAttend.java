package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.Attention;
import io.verdier.engine.backend.Backend.Projection;
import io.verdier.engine.backend.Backend.Rotation;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Rotation into the KV cache and attention in C. Owned by the executor thread; units are run by the
 * pool.
 *
 * <p>Positions, block tables and addresses of a batch's rows are copied out of the heap for each
 * call: some bytes a token, beside some kilobytes of keys that each token reads.
 */
final class NativeAttend {
  private static final int ROPE_FIELDS = 18;
  private static final int ATTEND_FIELDS = 25;

  /** Queries that go through a key-value head's cache together, unless one token has more. */
  private static final int ROWS_MAX = 192;

  /** Fewer would leave tiles half empty. */
  private static final int ROWS_MIN = 32;

  /** Units for each thread, so that a long one at the end leaves the others little to wait for. */
  private static final int UNITS_PER_THREAD = 4;

  private static final long ELEMENTS_PER_UNIT = 16_384;

  /** Tokens of a plane, whose cache lines threads should not write in turn. */
  private static final long PLANE_TOKENS = 16;

  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private final KernelLibrary library;
  private final ComputePool pool;
  private final Arena arena;
  private final NativeJob rope;
  private final NativeJob attend;
  private final NativeOperand none;
  private MemorySegment positions = MemorySegment.NULL; // [rows] s32
  private MemorySegment planes = MemorySegment.NULL; // [rows] s64
  private MemorySegment angles = MemorySegment.NULL; // [rows] addresses
  private MemorySegment tileFirst = MemorySegment.NULL; // [tiles] s32
  private MemorySegment tileCount = MemorySegment.NULL; // [tiles] s32
  private MemorySegment tileTable = MemorySegment.NULL; // [tiles] s64, index in tables
  private MemorySegment tables = MemorySegment.NULL; // block ids of the batch's slices, end to end
  private MemorySegment scratch = MemorySegment.NULL;
  private long scratchBytes;
  private int rowsMax;

  NativeAttend(KernelLibrary library, ComputePool pool, Arena arena) {
    this.library = library;
    this.pool = pool;
    this.arena = arena;
    rope = new NativeJob(library.rope, ROPE_FIELDS, arena);
    attend = new NativeJob(library.attend, ATTEND_FIELDS, arena);
    none = new NativeOperand(OperandFormat.BF16, 0, 0, arena);
  }

  /**
   * @param queryGain address of {@code [headDim]} f32, 0 for none
   * @param keyGain the same for keys
   */
  void rotateAndStore(
      Projection projection,
      Rotation rotation,
      long queryGain,
      long keyGain,
      NativeKvStorage storage,
      int layer,
      AttentionBatch batch) {
    NativeTensor queries = (NativeTensor) projection.queries();
    NativeTensor keys = (NativeTensor) projection.keys();
    NativeTensor values = (NativeTensor) projection.values();
    NativeRopeTable table = (NativeRopeTable) rotation.table();
    int rows = batch.count();
    reserveRows(rows);
    for (int i = 0; i < rows; i++) {
      int row = batch.first() + i;
      int position = batch.position(row);
      positions.setAtIndex(INT, i, position);
      planes.setAtIndex(LONG, i, storage.planes(batch.table(batch.slice(row)), position, layer));
      angles.setAtIndex(LONG, i, table.address(position));
    }
    int headDim = storage.shape().headDim();
    long perRow = queries.columns() + 2L * keys.columns();
    long rowsPerUnit = Math.max(1, ELEMENTS_PER_UNIT / perRow);
    if (rows >= 2L * pool.threads() * PLANE_TOKENS) {
      rowsPerUnit = Math.ceilDiv(rowsPerUnit, PLANE_TOKENS) * PLANE_TOKENS;
    }
    rope.args
        .start()
        .put(queries.address())
        .put((long) queries.stride())
        .put(keys.address())
        .put((long) keys.stride())
        .put(values.address())
        .put((long) values.stride())
        .put((long) rows)
        .put(rowsPerUnit)
        .put((long) queries.columns() / headDim)
        .put((long) storage.shape().heads())
        .put((long) headDim)
        .put(queryGain)
        .put(keyGain)
        .put((double) rotation.epsilon())
        .put(angles.address())
        .put(storage.address())
        .put(planes.address())
        .put(positions.address())
        .end();
    pool.run(rope, (int) ((rows + rowsPerUnit - 1) / rowsPerUnit));
  }

  /**
   * @param plain gets the result instead of {@code out}, where heads are no whole groups of it
   */
  void attend(
      NativeOperand out,
      @Nullable NativeTensor plain,
      NativeTensor queries,
      NativeKvStorage storage,
      Attention how,
      AttentionBatch batch) {
    int headDim = storage.shape().headDim();
    int heads = storage.shape().heads();
    int queryHeads = queries.columns() / headDim;
    int shared = queryHeads / heads;
    int units = UNITS_PER_THREAD * pool.threads();
    int rows = Math.clamp((long) batch.count() * queryHeads / units, ROWS_MIN, ROWS_MAX);
    reserveRows(batch.count());
    int tiles = layOutTiles(batch, Math.max(1, rows / shared));
    int headsPerUnit = headsPerUnit(batch, heads, units);
    reserveScratch(Math.max(ROWS_MAX, shared), headDim);
    attend
        .args
        .start()
        .put(plain == null ? out.written() : none)
        .put(plain == null ? 0L : plain.address())
        .put(plain == null ? 0L : plain.stride())
        .put(queries.address())
        .put((long) queries.stride())
        .put((long) queryHeads)
        .put((long) heads)
        .put((long) headDim)
        .put((double) how.scale())
        .put((long) how.window())
        .put(positions.address())
        .put((long) headsPerUnit)
        .put(tileFirst.address())
        .put(tileCount.address())
        .put(tileTable.address())
        .put(tables.address())
        .put(storage.address())
        .put((long) storage.shape().blockTokens())
        .put(storage.blockBytes())
        .put(storage.layerOffset(how.layer()))
        .put(scratch.address())
        .put(scratchBytes)
        .end();
    pool.run(attend, tiles * heads / headsPerUnit);
  }

  /**
   * Heads that a unit goes through, one by one, so that it asks for the next one's cache while it
   * works: as many as leave units enough, the longest of them no longer than its share. Prompts
   * compute for long on what they read, so that they need none of it.
   */
  private static int headsPerUnit(AttentionBatch batch, int heads, int units) {
    long all = 0;
    long longest = 1;
    for (int i = 0; i < batch.count(); i++) {
      int row = batch.first() + i;
      if (batch.sliceEnd(batch.slice(row)) > row + 1) {
        return 1;
      }
      all += batch.position(row) + 1;
      longest = Math.max(longest, batch.position(row) + 1);
    }
    int most = Math.clamp(all * heads / (units * longest), 1, heads);
    while (heads % most != 0) {
      most--;
    }
    return most;
  }

  /** Cuts the selected rows into runs of tokens of one slice; returns how many. */
  private int layOutTiles(AttentionBatch batch, int tokensMax) {
    int end = batch.first() + batch.count();
    int tiles = 0;
    long tableAt = 0;
    for (int row = batch.first(); row < end; ) {
      int slice = batch.slice(row);
      int sliceEnd = Math.min(end, batch.sliceEnd(slice));
      int[] table = batch.table(slice);
      reserveTables(tableAt + table.length);
      MemorySegment.copy(table, 0, tables, INT, tableAt * Integer.BYTES, table.length);
      while (row < sliceEnd) {
        int count = Math.min(tokensMax, sliceEnd - row);
        tileFirst.setAtIndex(INT, tiles, row - batch.first());
        tileCount.setAtIndex(INT, tiles, count);
        tileTable.setAtIndex(LONG, tiles++, tableAt);
        for (int i = 0; i < count; i++) {
          positions.setAtIndex(INT, row + i - batch.first(), batch.position(row + i));
        }
        row += count;
      }
      tableAt += table.length;
    }
    return tiles;
  }

  private void reserveRows(int rows) {
    if (rows > rowsMax) {
      rowsMax = Math.max(rows, 2 * rowsMax);
      positions = arena.allocate(rowsMax * 4L, 64);
      planes = arena.allocate(rowsMax * 8L, 64);
      angles = arena.allocate(rowsMax * 8L, 64);
      tileFirst = arena.allocate(rowsMax * 4L, 64);
      tileCount = arena.allocate(rowsMax * 4L, 64);
      tileTable = arena.allocate(rowsMax * 8L, 64);
    }
  }

  private void reserveTables(long entries) {
    if (entries * Integer.BYTES > tables.byteSize()) {
      MemorySegment larger = arena.allocate(2 * entries * Integer.BYTES, 64);
      MemorySegment.copy(tables, 0, larger, 0, tables.byteSize());
      tables = larger;
    }
  }

  private void reserveScratch(int rows, int headDim) {
    long needed = library.attendScratch(rows, headDim);
    if (needed > scratchBytes) {
      scratch = NativeMemory.allocate(needed * pool.threads(), arena);
      scratchBytes = needed;
    }
  }
}
