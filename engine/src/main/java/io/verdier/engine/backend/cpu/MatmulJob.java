package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedMatrix.Layout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A matrix product; a unit is some tiles with some rows. Set up by the executor thread, run by the
 * pool.
 *
 * <p>Every output is one chain of fused multiply-adds over the columns in order, starting from the
 * bias, whichever path computes it. Few rows multiply straight from the packed weights, which are
 * then read at memory speed; many rows share a panel unpacked to floats, which costs a conversion
 * but halves the instructions of each use.
 */
final class MatmulJob implements ComputePool.Job {
  /** From so many rows on, unpacking pays. */
  private static final int PANEL_ROWS_MIN = 48;

  /** Weights that a unit reads at least: claims stay rare beside the work. */
  private static final long UNIT_BYTES = 64 << 10;

  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT.withOrder(ByteOrder.nativeOrder());

  private final TileWork[] works;
  private Kernels kernels;
  private PackedMatrix matrix;
  private CpuTensor in;
  private float[] out = {};
  private int outStart;
  private int outStride;
  private int tilesPerUnit = 1;
  private int rowGroups = 1;

  MatmulJob(int workers, Kernels kernels) {
    works = new TileWork[workers];
    Arrays.setAll(works, i -> new TileWork());
    this.kernels = kernels;
    matrix = new PackedMatrix(0, 0, Layout.FLOATS, MemorySegment.NULL, null);
    in = new CpuTensor(0, 0);
  }

  /** Prepares {@code out = in · weightᵀ}; then call {@link #units} and run them. */
  void prepare(Kernels chosen, CpuTensor input, PackedMatrix weight) {
    kernels = chosen;
    in = input;
    matrix = weight;
    rowGroups = (input.rows() + TileWork.ROWS_MAX - 1) / TileWork.ROWS_MAX;
    tilesPerUnit = (int) Math.max(1, UNIT_BYTES / (weight.tileBytes() * input.rows()));
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
    for (int tile = firstTile; tile < endTile; tile++) {
      work.offset = tile * matrix.tileBytes();
      start(work, tile);
      if (matrix.layout() == Layout.PAIRS && work.rows < PANEL_ROWS_MIN) {
        multiplyPairs(work);
      } else {
        multiplyPanels(work);
      }
      finish(work, tile, firstRow);
    }
  }

  private void start(TileWork work, int tile) {
    float[] start = matrix.start();
    int rows = work.rows + TileWork.BLOCK - 1;
    if (start == null) {
      Arrays.fill(work.sums, 0, rows * LANES, 0f);
      return;
    }
    for (int row = 0; row < rows; row++) {
      System.arraycopy(start, tile * LANES, work.sums, row * LANES, LANES);
    }
  }

  private void multiplyPairs(TileWork work) {
    if (work.rows == 1) {
      kernels.pairsRow(work, 0);
      return;
    }
    for (int row = 0; row < work.rows; row += 4) {
      kernels.pairsRows4(work, row);
    }
  }

  private void multiplyPanels(TileWork work) {
    for (int from = 0; from < work.columns; from += TileWork.PANEL_COLUMNS) {
      int count = Math.min(TileWork.PANEL_COLUMNS, work.columns - from);
      if (matrix.layout() == Layout.PAIRS) {
        kernels.unpack(work, from, count);
      } else {
        long at = work.offset + (long) from * LANES * Float.BYTES;
        MemorySegment.copy(work.weights, FLOAT, at, work.panel, 0, count * LANES);
      }
      for (int row = 0; row < work.rows; row += TileWork.BLOCK) {
        kernels.panelRows8(work, row, from, count);
      }
    }
  }

  private void finish(TileWork work, int tile, int firstRow) {
    int lanes = Math.min(LANES, matrix.rows() - tile * LANES);
    int to = outStart + firstRow * outStride + tile * LANES;
    for (int row = 0; row < work.rows; row++) {
      System.arraycopy(work.sums, row * LANES, out, to + row * outStride, lanes);
    }
  }
}
