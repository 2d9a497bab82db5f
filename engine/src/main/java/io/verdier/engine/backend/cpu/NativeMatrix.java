package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.Backend;
import java.lang.foreign.MemorySegment;

/**
 * A weight matrix in tiles ({@code verdier.h} has the picture). Immutable once packed.
 *
 * @param start what the sums of a tile's rows start from, {@code [tiles · 32]} f32: the bias; null
 *     segment for zeros
 * @param order how rows lie in tiles
 */
record NativeMatrix(
    int rows,
    int columns,
    WeightFormat format,
    MemorySegment data,
    MemorySegment start,
    RowOrder order)
    implements Backend.Matrix {

  /** Which row of the matrix a row of a tile is. */
  enum RowOrder {
    /** The next one. */
    PLAIN,
    /** 16 rows of the gate, then the same 16 of the up projection. */
    GATED
  }

  int groups() {
    return format.operand().groups(columns);
  }

  int tiles() {
    return tiles(rows, order);
  }

  /** Gated tiles come in pairs, because two of them give a whole group of an operand. */
  static int tiles(int rows, RowOrder order) {
    int tile = order == RowOrder.GATED ? 2 * WeightFormat.TILE_ROWS : WeightFormat.TILE_ROWS;
    int whole = (rows + tile - 1) / tile;
    return order == RowOrder.GATED ? 2 * whole : whole;
  }

  @Override
  public long bytes() {
    return tiles() * tileBytes();
  }

  long tileBytes() {
    return format.tileBytes(columns);
  }
}
