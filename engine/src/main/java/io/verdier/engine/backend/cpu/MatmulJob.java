package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedMatrix.Layout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Optional;

/**
 * A matrix product; a unit is some tiles with some rows. Set up by the executor thread, run by the
 * pool.
 *
 * <p>Every output is one chain of fused multiply-adds over the columns in order, starting from the
 * bias, whichever path computes it. Few rows multiply straight from the packed weights, which are
 * then read at memory speed; many rows share a panel unpacked to floats, which costs a conversion
 * but halves the instructions of each use. For the second, a unit goes over some columns with all
 * its tiles before it goes on to the next, so that the activations of these columns stay in the
 * second-level cache.
 */
final class MatmulJob implements ComputePool.Job {
  /** From so many rows on, unpacking pays. */
  private static final int PANEL_ROWS_MIN = 48;

  /** Units for each worker, at least: the last ones to end leave little waiting. */
  private static final int UNITS_PER_WORKER = 8;

  /** Weights that a unit reads at least: claims stay rare beside the work. */
  private static final long UNIT_BYTES = 64 << 10;

  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT.withOrder(ByteOrder.nativeOrder());

  private final TileWork[] works;
  private final RowBlocks blocks = new RowBlocks();
  private Kernels kernels;
  private PackedMatrix matrix;
  private CpuTensor in;
  private float[] out = {};
  private int outStart;
  private int outStride;
  private boolean panels; // unpacked, else straight from the weights
  private int tilesPerUnit = 1;
  private int rowGroups = 1;

  MatmulJob(int workers, Kernels kernels) {
    works = new TileWork[workers];
    Arrays.setAll(works, i -> new TileWork());
    this.kernels = kernels;
    matrix = new PackedMatrix(0, 0, Layout.FLOATS, MemorySegment.NULL, null);
    in = new CpuTensor(0, 0);
  }

  /** Prepares {@code out = in · weightᵀ}; then run the {@link #blocks}, if any, and the units. */
  void prepare(Kernels chosen, CpuTensor input, PackedMatrix weight) {
    kernels = chosen;
    in = input;
    matrix = weight;
    panels = weight.layout() == Layout.FLOATS || input.rows() >= PANEL_ROWS_MIN;
    rowGroups = (input.rows() + TileWork.ROWS_MAX - 1) / TileWork.ROWS_MAX;
    if (panels) {
      int units = UNITS_PER_WORKER * works.length;
      tilesPerUnit = Math.clamp(weight.tiles() * rowGroups / units, 1, TileWork.TILES_MAX);
      blocks.prepare(input);
    } else {
      long tiles = UNIT_BYTES / (weight.tileBytes() * input.rows());
      tilesPerUnit = (int) Math.max(input.rows() == 1 ? 2 : 1, tiles);
    }
  }

  /** Activations as the units want them. */
  Optional<RowBlocks> blocks() {
    return panels ? Optional.of(blocks) : Optional.empty();
  }

  void target(float[] data, int start, int stride) {
    out = data;
    outStart = start;
    outStride = stride;
  }

  int units() {
    return (matrix.tiles() + tilesPerUnit - 1) / tilesPerUnit * rowGroups;
  }

  /** Multiply-adds of the whole job. */
  long cost() {
    return (long) in.rows() * matrix.rows() * matrix.columns();
  }

  @Override
  public void run(int unit, int worker) {
    TileWork work = works[worker];
    int firstRow = unit % rowGroups * TileWork.ROWS_MAX;
    work.in = in.data;
    work.inStart = in.at(firstRow);
    work.inStride = in.stride;
    work.rows = Math.min(TileWork.ROWS_MAX, in.rows() - firstRow);
    work.columns = matrix.columns();
    work.weights = matrix.data();
    int firstTile = unit / rowGroups * tilesPerUnit;
    int endTile = Math.min(firstTile + tilesPerUnit, matrix.tiles());
    if (panels) {
      work.blocks = blocks.data();
      work.blockStart = firstRow * work.columns;
      multiplyPanels(work, firstTile, endTile, firstRow);
    } else if (work.rows == 1) {
      multiplyRow(work, firstTile, endTile);
    } else {
      multiplyPairs(work, firstTile, endTile);
    }
  }

  private void multiplyRow(TileWork work, int firstTile, int endTile) {
    for (int tile = firstTile; tile < endTile; tile += 2) {
      select(work, tile, 0);
      start(work, tile, 1);
      if (tile + 1 < endTile) {
        work.sumsAt = LANES;
        start(work, tile + 1, 1);
        work.sumsAt = 0;
        kernels.pairsTwoTiles(work);
        work.sumsAt = LANES;
        finish(work, tile + 1, 0);
        work.sumsAt = 0;
      } else {
        kernels.pairsRow(work, 0);
      }
      finish(work, tile, 0);
    }
  }

  private void multiplyPairs(TileWork work, int firstTile, int endTile) {
    for (int tile = firstTile; tile < endTile; tile++) {
      select(work, tile, 0);
      start(work, tile, (work.rows + 3) & -4);
      for (int row = 0; row < work.rows; row += 4) {
        kernels.pairsRows4(work, row);
      }
      finish(work, tile, 0);
    }
  }

  private void multiplyPanels(TileWork work, int firstTile, int endTile, int firstRow) {
    for (int from = 0; from < work.columns; from += TileWork.PANEL_COLUMNS) {
      int count = Math.min(TileWork.PANEL_COLUMNS, work.columns - from);
      for (int tile = firstTile; tile < endTile; tile++) {
        select(work, tile, tile - firstTile);
        if (from == 0) {
          start(work, tile, (work.rows + 3) & -4);
        }
        unpack(work, from, count);
        multiplyPanel(work, from, count);
        if (from + count == work.columns) {
          finish(work, tile, firstRow);
        }
      }
    }
  }

  private void unpack(TileWork work, int from, int count) {
    if (matrix.layout() == Layout.PAIRS) {
      kernels.unpack(work, from, count);
    } else {
      long at = work.offset + (long) from * LANES * Float.BYTES;
      MemorySegment.copy(work.weights, FLOAT, at, work.panel, 0, count * LANES);
    }
  }

  private void multiplyPanel(TileWork work, int from, int count) {
    for (int row = 0; row < work.rows; row += TileWork.BLOCK) {
      int left = work.rows - row;
      if (left > 8) {
        kernels.panelRows12(work, row, from, count);
      } else {
        kernels.panelRows4(work, row, from, count);
        if (left > 4) {
          kernels.panelRows4(work, row + 4, from, count);
        }
      }
    }
  }

  /** Turns to a tile, whose sums are the unit's so-manieth. */
  private void select(TileWork work, int tile, int index) {
    work.offset = tile * matrix.tileBytes();
    work.sumsAt = index * TileWork.ROWS_MAX * LANES;
  }

  private void start(TileWork work, int tile, int rows) {
    float[] start = matrix.start();
    int at = work.sumsAt;
    if (start == null) {
      Arrays.fill(work.sums, at, at + rows * LANES, 0f);
      return;
    }
    for (int row = 0; row < rows; row++) {
      System.arraycopy(start, tile * LANES, work.sums, at + row * LANES, LANES);
    }
  }

  private void finish(TileWork work, int tile, int firstRow) {
    int lanes = Math.min(LANES, matrix.rows() - tile * LANES);
    int to = outStart + firstRow * outStride + tile * LANES;
    for (int row = 0; row < work.rows; row++) {
      int from = work.sumsAt + row * LANES;
      System.arraycopy(work.sums, from, out, to + row * outStride, lanes);
    }
  }
}
