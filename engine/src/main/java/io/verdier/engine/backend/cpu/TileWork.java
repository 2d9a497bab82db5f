package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;

/**
 * One worker's view of the product of a few weight tiles with some rows of activations. Owned by
 * that worker; also holds its scratch memory. Kernels work on one tile at a time, or on two.
 *
 * <p>Sums go to {@link #sums} and from there to the output, so that kernels write whole vectors and
 * whole row blocks whatever is at the edges: lanes behind the last weight row and rows behind the
 * last activation row (which repeat it) are computed and dropped.
 */
final class TileWork {
  /** Rows that a block kernel takes at once. */
  static final int BLOCK = 12;

  /** Activation rows that are worked through with one unpacked panel: whole blocks. */
  static final int ROWS_MAX = 43 * BLOCK;

  /**
   * Columns in an unpacked panel. A panel is 32 KiB and so many columns of all rows 512 KiB; with
   * the sums of all tiles, another 512 KiB, they stay in the second-level cache.
   */
  static final int PANEL_COLUMNS = 256;

  /** Tiles that share the activations in the second-level cache, and for which there are sums. */
  static final int TILES_MAX = 8;

  private static final int LANES = PackedMatrix.TILE_ROWS;

  MemorySegment weights = MemorySegment.NULL;
  long offset; // of the tile in weights, bytes
  int columns;
  float[] in = {}; // row r, column c at inStart + min(r, rows - 1) * inStride + c
  int inStart;
  int inStride;
  int rows;
  float[] blocks = {}; // the activations as RowBlocks lays them, where a panel is multiplied
  int blockRows; // in blocks, whole ones
  int firstRow; // that row 0 is in blocks
  int sumsAt; // where the tile's sums begin
  int sumsStep; // from there to the next tile's
  final float[] sums = new float[TILES_MAX * ROWS_MAX * LANES]; // [tiles][sumsStep / 32][32]
  final float[] panel = new float[PANEL_COLUMNS * LANES]; // [columns][32]
  final int[] words =
      new int[PANEL_COLUMNS / 2 * LANES]; // [columns / 2][32] pairs, scalar form only

  /** Where a row's activations for a panel begin in blocks; the next column's are 12 on. */
  int blockAt(int row, int from, int count) {
    int inBlock = row % BLOCK;
    return from * blockRows + (firstRow + row - inBlock) * count + inBlock;
  }

  /** Where an activation row begins; rows behind the last repeat it. */
  int inRow(int row) {
    return inStart + Math.min(row, rows - 1) * inStride;
  }
}
