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
 * @param start what each output's accumulation starts from: the bias, or zeros; whole tiles
 */
record PackedMatrix(
    int rows, int columns, Layout layout, MemorySegment data, float @Nullable [] start)
    implements Backend.Matrix {
  static final int TILE_ROWS = 32;

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
    return (rows + TILE_ROWS - 1) / TILE_ROWS;
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
