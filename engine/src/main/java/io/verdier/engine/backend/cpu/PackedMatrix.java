package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A weight matrix in tiles of {@value #TILE_ROWS} rows, rows in lanes. Immutable once packed.
 *
 * <pre>
 *   PAIRS   tile = [columns / 2][32 rows][2] bf16     a 32-bit lane holds an even column (low half)
 *                                                     and the odd one after it of one row
 *   FLOATS  tile = [columns][32 rows] f32             for F32 and F16 checkpoints
 * </pre>
 *
 * <p>A tile is one sequential stream. One accumulator lane belongs to one output, which is why
 * there is a single order of accumulation for any vector width. Rows are padded to whole tiles with
 * zeros.
 *
 * @param order how rows lie in tiles
 * @param start what each output's accumulation starts from: the bias, or zeros; whole tiles
 */
record PackedMatrix(
    int rows,
    int columns,
    Layout layout,
    RowOrder order,
    MemorySegment data,
    float @Nullable [] start)
    implements Backend.Matrix {
  static final int TILE_ROWS = 32;

  /** A matrix of nothing, to begin with. */
  static final PackedMatrix NONE =
      new PackedMatrix(0, 0, Layout.FLOATS, RowOrder.PLAIN, MemorySegment.NULL, null);

  /** Which rows of the matrix a tile has. */
  enum RowOrder {
    /** The next ones. */
    PLAIN,
    /** By turns 32 of the gate and the same 32 of the up projection, the matrix's second half. */
    GATED
  }

  /** How elements lie in a tile. */
  enum Layout {
    PAIRS(2),
    FLOATS(4);

    private final int bytes;

    Layout(int bytes) {
      this.bytes = bytes;
    }

    int bytes() {
      return bytes;
    }
  }

  int tiles() {
    return tiles(rows, order);
  }

  static int tiles(int rows, RowOrder order) {
    return switch (order) {
      case PLAIN -> (rows + TILE_ROWS - 1) / TILE_ROWS;
      case GATED -> 2 * tiles(rows / 2, RowOrder.PLAIN);
    };
  }

  /** The matrix's row that a tile's row holds; -1: none, it is padding. */
  int row(int tile, int rowOfTile) {
    int half = rows / 2;
    return switch (order) {
      case PLAIN -> inside(tile * TILE_ROWS + rowOfTile, 0, rows);
      case GATED -> inside(tile / 2 * TILE_ROWS + rowOfTile, tile % 2 * half, half);
    };
  }

  private static int inside(int row, int first, int count) {
    return row < count ? first + row : -1;
  }

  @Override
  public long bytes() {
    return tiles() * tileBytes();
  }

  long tileBytes() {
    return tileBytes(layout, columns);
  }

  static long tileBytes(Layout layout, int columns) {
    return (long) columns * TILE_ROWS * layout.bytes();
  }
}
