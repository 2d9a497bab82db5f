package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.KvShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The batch of a step as kernels see it: integers in device memory at fixed places, so that a
 * captured graph finds the next step's where it found the last one's. Owned by the executor thread.
 *
 * <pre>
 *   counts    rows | - | tiles | - | items | folds                       8
 *   row       token | position | slot in the cache                       3 × [rowsMax]
 *   tiles, items, folds: the attention's work                            8 a record
 *   tables    block ids of all slices, end to end                        [tablesMax]
 * </pre>
 *
 * One copy brings all of it, up to the last table in use.
 */
final class StepInputs {
  private static final int COUNTS = 8;
  private static final int TABLES_PER_SLICE = 256; // from the start: 4096 tokens of each
  private static final int COUNT_TILES = 2;
  private static final int COUNT_ITEMS = 4;
  private static final int COUNT_FOLDS = 5;

  private final CudaDriver driver;
  private final Sizes sizes;
  private final int[] tableStarts; // [slicesMax]
  private final MemorySegment host;
  private final long device;

  /**
   * What the inputs have room for.
   *
   * @param rows tokens in a step
   * @param slices sequences in a step
   * @param tiles of the attention's work, like its items and folds
   * @param tables blocks of all sequences
   */
  record Sizes(int rows, int slices, int tiles, int items, int folds, int tables) {

    /** What a batch needs, with twice the tables that it has: the next one will have more. */
    static Sizes of(AttentionBatch batch, int blockTokens, AttentionWork work) {
      return new Sizes(
          batch.rowsMax(),
          batch.slicesMax(),
          work.tilesMax(batch.rowsMax(), batch.slicesMax()),
          work.itemsMax(StepGraphs.roundedRows(batch.slicesMax())),
          work.foldsMax(batch.slicesMax()),
          Math.max(TABLES_PER_SLICE * batch.slicesMax(), 2 * tables(batch, blockTokens)));
    }

    boolean hold(AttentionBatch batch, int blockTokens) {
      return batch.rowsMax() <= rows
          && batch.slicesMax() <= slices
          && tables(batch, blockTokens) <= tables;
    }

    private static int tables(AttentionBatch batch, int blockTokens) {
      int blocks = 0;
      for (int s = 0; s < batch.slices(); s++) {
        blocks = Math.addExact(blocks, blocks(batch, s, blockTokens));
      }
      return blocks;
    }
  }

  StepInputs(CudaDriver driver, Sizes sizes) {
    this.driver = driver;
    this.sizes = sizes;
    tableStarts = new int[sizes.slices];
    long bytes = (tablesAt() + (long) sizes.tables) * Integer.BYTES;
    host = driver.hostBuffer(bytes);
    device = driver.allocate(bytes);
  }

  Sizes sizes() {
    return sizes;
  }

  private static int blocks(AttentionBatch batch, int slice, int blockTokens) {
    return batch.position(batch.sliceEnd(slice) - 1) / blockTokens + 1;
  }

  /**
   * Queues the copy of a batch, and divides its attention. The device must have taken the last one.
   */
  void upload(AttentionBatch batch, KvShape shape, AttentionWork work) {
    int tables = putTables(batch, shape);
    work.plan(batch, tableStarts);
    put(0, batch.rows());
    put(COUNT_TILES, work.tiles().count());
    put(COUNT_ITEMS, work.items().count());
    put(COUNT_FOLDS, work.folds().count());
    putRows(batch, shape.blockTokens());
    put(tilesAt(), work.tiles());
    put(itemsAt(), work.items());
    put(foldsAt(), work.folds());
    driver.copyIn(device, host, (tablesAt() + (long) tables) * Integer.BYTES);
  }

  private int putTables(AttentionBatch batch, KvShape shape) {
    int at = 0;
    for (int s = 0; s < batch.slices(); s++) {
      tableStarts[s] = at;
      int blocks = blocks(batch, s, shape.blockTokens());
      int[] ids = batch.table(s);
      for (int i = 0; i < blocks; i++) {
        if (ids[i] < 0 || ids[i] >= shape.blocks()) {
          throw new IllegalStateException("block " + ids[i] + " of " + shape.blocks());
        }
        put(tablesAt() + at++, ids[i]);
      }
    }
    return at;
  }

  private void putRows(AttentionBatch batch, int blockTokens) {
    for (int row = 0; row < batch.rows(); row++) {
      int position = batch.position(row);
      int block = batch.table(batch.slice(row))[position / blockTokens];
      put(COUNTS + row, batch.token(row));
      put(COUNTS + sizes.rows + row, position);
      put(COUNTS + 2 * sizes.rows + row, block * blockTokens + position % blockTokens);
    }
  }

  private void put(int index, AttentionWork.Records records) {
    int length = records.count() * AttentionWork.RECORD_INTS;
    MemorySegment.copy(
        records.ints(), 0, host, ValueLayout.JAVA_INT, (long) index * Integer.BYTES, length);
  }

  private void put(int index, int value) {
    host.setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  private int tilesAt() {
    return COUNTS + 3 * sizes.rows;
  }

  private int itemsAt() {
    return tilesAt() + AttentionWork.RECORD_INTS * sizes.tiles;
  }

  private int foldsAt() {
    return itemsAt() + AttentionWork.RECORD_INTS * sizes.items;
  }

  private int tablesAt() {
    return foldsAt() + AttentionWork.RECORD_INTS * sizes.folds;
  }

  private long at(int index) {
    return device + (long) index * Integer.BYTES;
  }

  /** How many there are of rows and of each kind of work. */
  long counts() {
    return at(0);
  }

  long tokens() {
    return at(COUNTS);
  }

  long positions() {
    return at(COUNTS + sizes.rows);
  }

  /** Of each row: block · blockTokens + place in the block. */
  long slots() {
    return at(COUNTS + 2 * sizes.rows);
  }

  long tiles() {
    return at(tilesAt());
  }

  long items() {
    return at(itemsAt());
  }

  long folds() {
    return at(foldsAt());
  }

  long tables() {
    return at(tablesAt());
  }

  void free() {
    driver.free(device);
    driver.freeHost(host);
  }
}
