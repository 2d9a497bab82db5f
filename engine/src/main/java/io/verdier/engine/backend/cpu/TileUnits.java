package io.verdier.engine.backend.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How the tiles of a product are shared out in units. Owned by the executor thread; planned before
 * a job, read by its threads.
 *
 * <p>Units shrink from the first to the last ("guided self-scheduling", Polychronopoulos and Kuck,
 * 1987): each is a share of what is left. Long ones read memory in one stream, which the processor
 * foresees (units of 70 KB read 70 % of what units of 500 KB do), short ones at the end let the
 * threads stop together.
 */
final class TileUnits {
  /** A unit that reads so much lasts some 250 µs: what a thread that loses its core may hold up. */
  private static final long BYTES_MAX = 4L << 20;

  /** Weight bytes times rows below which claiming would show. */
  private static final long COST_MIN = 128 << 10;

  /** Tiles that meet several panels, so that these are read from the second-level cache. */
  private static final int PANEL_TILES_MAX = 8;

  private final Arena arena;
  private MemorySegment firstTiles; // [count + 1] s32
  private int count;
  private int tilesMax;

  TileUnits(Arena arena) {
    this.arena = arena;
    firstTiles = arena.allocate(64 * 4L, 64);
  }

  /**
   * @param together tiles that a unit has a multiple of
   */
  void plan(NativeMatrix weight, int rows, int panels, int together, int threads) {
    int tiles = weight.tiles();
    long tileBytes = Math.max(1, weight.tileBytes());
    long most = panels == 1 ? Math.max(1, BYTES_MAX / tileBytes) : PANEL_TILES_MAX;
    long least = Math.clamp(COST_MIN / (tileBytes * rows), 1, most);
    count = 0;
    tilesMax = 0;
    int from = 0;
    while (from < tiles) {
      int share = (int) Math.clamp((tiles - from) / (2L * threads), least, most);
      int size = Math.min(tiles - from, (share + together - 1) / together * together);
      put(count++, from);
      tilesMax = Math.max(tilesMax, size);
      from += size;
    }
    put(count, tiles);
  }

  private void put(int index, int tile) {
    if (index * 4L >= firstTiles.byteSize()) {
      MemorySegment longer = arena.allocate(2 * firstTiles.byteSize(), 64);
      firstTiles = longer.copyFrom(firstTiles);
    }
    firstTiles.setAtIndex(ValueLayout.JAVA_INT, index, tile);
  }

  int count() {
    return count;
  }

  /** Tiles of the largest unit. */
  int tilesMax() {
    return tilesMax;
  }

  /** Where a unit begins; behind the last one: the number of tiles. */
  int firstTile(int unit) {
    return firstTiles.getAtIndex(ValueLayout.JAVA_INT, unit);
  }

  long address() {
    return firstTiles.address();
  }
}
