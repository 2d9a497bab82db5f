package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.AttentionBatch;
import java.util.Arrays;

/**
 * Divides a step's attention into the records that the kernels work through ({@code attention.cu}
 * draws them). Owned by the executor thread.
 *
 * <p>A slice of few rows is a tile of its own, whose keys may be shared among several blocks when
 * there are too few tiles to keep the device busy: each block then leaves what it found for every
 * chunk of 64 keys, and the last of them brings the chunks together in their order, or, where they
 * are many, a kernel of its own. A slice of many rows is cut into tiles that each go through their
 * keys alone. How a slice is divided cannot be seen in the result: it is in either case the same
 * fold over the same chunks.
 */
final class AttentionWork {
  static final int CHUNK_TOKENS = 64;
  static final int RECORD_INTS = 8;

  /** Rows of a tensor core's tile: so many pairs of token and head of a group. */
  static final int DECODE_TILE_ROWS = 16;

  /** In place of a partial result's number: the item folds what it finds itself. */
  private static final int WHOLE = -1;

  private static final int BLOCKS_PER_MULTIPROCESSOR = 4;

  /**
   * So many chunks take a block less time than leaving them to another and fetching the results.
   */
  private static final int CHUNKS_WHOLE = 3;

  /** The last block of a tile folds so many chunks before a kernel for it would be there. */
  private static final int CHUNKS_FOLDED_IN_BLOCK = 32;

  private final int group; // query heads that share a key head
  private final int tokensOfPrefillTile;
  private final int itemsWanted;
  private final int kvHeads;
  private final int recordsMax;

  private final Records tiles = new Records();
  private final Records items = new Records();
  private final Records folds = new Records();
  private int records;

  /**
   * @param prefillTileRows pairs of token and head in a tile of the prefill kernel
   * @param recordsMax partial results for which there is room; what would need more is not shared
   * @throws IllegalArgumentException if more query heads share a key head than a tile has rows
   */
  AttentionWork(int heads, int kvHeads, int prefillTileRows, int multiprocessors, int recordsMax) {
    this.kvHeads = kvHeads;
    this.recordsMax = recordsMax;
    group = heads / kvHeads;
    if (group > DECODE_TILE_ROWS) {
      throw new IllegalArgumentException(
          group + " query heads share a key head; at most " + DECODE_TILE_ROWS + " can.");
    }
    tokensOfPrefillTile = prefillTileRows / group;
    itemsWanted = Math.max(1, multiprocessors * BLOCKS_PER_MULTIPROCESSOR / kvHeads);
  }

  /** Most items of a step that has so many tiles of few rows. */
  int itemsMax(int decodeTiles) {
    return decodeTiles + itemsWanted;
  }

  int foldsMax(int slices) {
    return slices * tokensOfDecodeTile();
  }

  int tilesMax(int rows, int slices) {
    return rows / tokensOfPrefillTile + slices;
  }

  /** Rows up to which a slice is a tile of the decode kernel. */
  int tokensOfDecodeTile() {
    return DECODE_TILE_ROWS / group;
  }

  /**
   * Divides a batch.
   *
   * @param tables where each slice's block ids begin among all
   */
  void plan(AttentionBatch batch, int[] tables) {
    tiles.count = 0;
    items.count = 0;
    folds.count = 0;
    records = 0;
    int perItem = Math.max(1, (decodeChunks(batch) + itemsWanted - 1) / itemsWanted);
    for (int s = 0; s < batch.slices(); s++) {
      int first = batch.sliceStart(s);
      int count = batch.sliceEnd(s) - first;
      if (count <= tokensOfDecodeTile()) {
        decode(batch.position(first), first, count, tables[s], perItem);
      } else {
        prefill(batch.position(first), first, count, tables[s]);
      }
    }
  }

  private int decodeChunks(AttentionBatch batch) {
    int chunks = 0;
    for (int s = 0; s < batch.slices(); s++) {
      if (batch.sliceEnd(s) - batch.sliceStart(s) <= tokensOfDecodeTile()) {
        chunks += chunks(batch.position(batch.sliceEnd(s) - 1));
      }
    }
    return chunks;
  }

  private static int chunks(int position) {
    return position / CHUNK_TOKENS + 1;
  }

  /** One tile: whole, or in about equal runs of chunks. */
  private void decode(int position, int row, int tokens, int table, int perItem) {
    int chunks = chunks(position + tokens - 1);
    int tileRows = tokens * group;
    long needed = (long) chunks * kvHeads * tileRows;
    boolean isWhole = chunks <= CHUNKS_WHOLE || needed > recordsMax - records;
    int runs = isWhole ? 1 : Math.max(1, (chunks + perItem / 2) / perItem);
    int length = (chunks + runs - 1) / runs;
    int count = (chunks + length - 1) / length;
    boolean isApart = count > 1 && chunks > CHUNKS_FOLDED_IN_BLOCK;
    int record = records;
    for (int first = 0; first < chunks; first += length) {
      int at = items.add(row, position);
      items.ints[at + 2] = tokens;
      items.ints[at + 3] = table;
      items.ints[at + 4] = first;
      items.ints[at + 5] = Math.min(length, chunks - first);
      items.ints[at + 6] = count == 1 ? WHOLE : record + first * kvHeads * tileRows;
      items.ints[at + 7] = isApart ? -count : count;
    }
    for (int i = 0; isApart && i < tokens; i++) {
      int at = folds.add(row + i, position + i);
      folds.ints[at + 2] = record + i * group;
      folds.ints[at + 3] = tileRows;
      folds.ints[at + 4] = 0;
    }
    if (count > 1) {
      records += chunks * kvHeads * tileRows;
    }
  }

  private void prefill(int position, int row, int tokens, int table) {
    int tileTokens = tokensOfPrefillTile;
    for (int done = (tokens - 1) / tileTokens * tileTokens; done >= 0; done -= tileTokens) {
      int count = Math.min(tileTokens, tokens - done);
      int at = tiles.add(row + done, position + done);
      tiles.ints[at + 2] = count;
      tiles.ints[at + 3] = table;
    }
  }

  Records tiles() {
    return tiles;
  }

  Records items() {
    return items;
  }

  /** Rows whose partial results a kernel must bring together. */
  Records folds() {
    return folds;
  }

  /** Partial results that the items leave, one per chunk, key head and row of a tile. */
  int records() {
    return records;
  }

  /** A list of records that is filled anew in every step, and keeps its memory. */
  static final class Records {
    private int[] ints = new int[64 * RECORD_INTS];
    private int count;

    /** Begins a record; returns where it lies. */
    private int add(int row, int position) {
      int at = count++ * RECORD_INTS;
      if (at == ints.length) {
        ints = Arrays.copyOf(ints, 2 * at);
      }
      ints[at] = row;
      ints[at + 1] = position;
      return at;
    }

    int count() {
      return count;
    }

    int[] ints() {
      return ints;
    }
  }
}
