package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;

/**
 * One worker's view of the product of one weight tile with some rows of activations. Owned by that
 * worker; also holds its scratch memory.
 *
 * <p>Sums go to {@link #sums} and from there to the output, so that kernels write whole vectors and
 * whole row blocks whatever is at the edges: lanes behind the last weight row and rows behind the
 * last activation row (which repeat it) are computed and dropped.
 */
final class TileWork {
  /** Activation rows that are worked through with one unpacked panel. */
  static final int ROWS_MAX = 256;

  /** Columns in an unpacked panel: 128 KiB, which stays in the second-level cache. */
  static final int PANEL_COLUMNS = 1024;

  /** Rows that a block kernel takes at once; {@link #sums} has room for one block more. */
  static final int BLOCK = 8;

  private static final int LANES = PackedMatrix.TILE_ROWS;

  MemorySegment weights = MemorySegment.NULL;
  long offset; // of the tile in weights, bytes
  int columns;
  float[] in = {}; // row r, column c at inStart + min(r, rows - 1) * inStride + c
  int inStart;
  int inStride;
  int rows;
  final float[] sums = new float[(ROWS_MAX + BLOCK) * LANES]; // [rows][32]
  final float[] panel = new float[PANEL_COLUMNS * LANES]; // [columns][32]
  final int[] words =
      new int[PANEL_COLUMNS / 2 * LANES]; // [columns / 2][32] pairs, scalar form only

  /** Where an activation row begins; rows behind the last repeat it. */
  int inRow(int row) {
    return inStart + Math.min(row, rows - 1) * inStride;
  }
}
