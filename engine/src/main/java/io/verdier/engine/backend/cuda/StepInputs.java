package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.KvShape;

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
  private static final int ROWS_ALIGNED = 4; // behind them are records, read by 16 bytes
  private static final int COUNT_TILES = 2;
  private static final int COUNT_ITEMS = 4;
  private static final int COUNT_FOLDS = 5;

  private final CudaDriver driver;
  private final Sizes sizes;
  private final int[] counts = new int[COUNTS];
  private final int[] slots; // [rowsMax]
  private final int[] tableStarts; // [slicesMax]
  private final int[] tables; // [tablesMax]
  private final Staging staging;
  private final long device;
  private long bytes; // of the batch that was gathered

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
          (batch.rowsMax() + ROWS_ALIGNED - 1) / ROWS_ALIGNED * ROWS_ALIGNED,
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
    slots = new int[sizes.rows];
    tableStarts = new int[sizes.slices];
    tables = new int[sizes.tables];
    long bytesMax = (tablesAt() + (long) sizes.tables) * Integer.BYTES;
    staging = new Staging(driver, bytesMax);
    device = driver.allocate(bytesMax);
  }

  Sizes sizes() {
    return sizes;
  }

  private static int blocks(AttentionBatch batch, int slice, int blockTokens) {
    return batch.position(batch.sliceEnd(slice) - 1) / blockTokens + 1;
  }

  /** Gathers a batch on the host's side, and divides its attention. */
  void gather(AttentionBatch batch, KvShape shape, AttentionWork work) {
    int tableCount = gatherTables(batch, shape);
    work.plan(batch, tableStarts);
    gatherSlots(batch, shape.blockTokens());
    counts[0] = batch.rows();
    counts[COUNT_TILES] = work.tiles().count();
    counts[COUNT_ITEMS] = work.items().count();
    counts[COUNT_FOLDS] = work.folds().count();
    bytes = (tablesAt() + (long) tableCount) * Integer.BYTES;
    staging.begin(bytes);
    staging.put(0, counts, COUNTS);
    staging.put(COUNTS, batch.tokens(), batch.rows());
    staging.put(COUNTS + sizes.rows, batch.positions(), batch.rows());
    staging.put(COUNTS + 2 * sizes.rows, slots, batch.rows());
    put(tilesAt(), work.tiles());
    put(itemsAt(), work.items());
    put(foldsAt(), work.folds());
    staging.put(tablesAt(), tables, tableCount);
  }

  /** Queues the copy of what was gathered. */
  void upload() {
    staging.copyIn(device, bytes);
  }

  private int gatherTables(AttentionBatch batch, KvShape shape) {
    int at = 0;
    for (int s = 0; s < batch.slices(); s++) {
      tableStarts[s] = at;
      int blocks = blocks(batch, s, shape.blockTokens());
      System.arraycopy(batch.table(s), 0, tables, at, blocks);
      at += blocks;
    }
    requireBlocks(at, shape.blocks());
    return at;
  }

  /** Without a branch per block, of which there may be tens of thousands. */
  private void requireBlocks(int count, int blocks) {
    int outside = 0; // negative as soon as one id is
    for (int i = 0; i < count; i++) {
      outside |= tables[i] | (blocks - 1 - tables[i]);
    }
    for (int i = 0; outside < 0 && i < count; i++) {
      if (tables[i] < 0 || tables[i] >= blocks) {
        throw new IllegalStateException("block " + tables[i] + " of " + blocks);
      }
    }
  }

  private void gatherSlots(AttentionBatch batch, int blockTokens) {
    for (int row = 0; row < batch.rows(); row++) {
      int position = batch.position(row);
      int block = batch.table(batch.slice(row))[position / blockTokens];
      slots[row] = block * blockTokens + position % blockTokens;
    }
  }

  private void put(int index, AttentionWork.Records records) {
    staging.put(index, records.ints(), records.count() * AttentionWork.RECORD_INTS);
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

  /** Nothing may be under way. */
  void free() {
    driver.free(device);
    staging.free();
  }
}
