package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.cpu.PackedMatrix.Layout;
import io.verdier.engine.backend.cpu.PackedMatrix.RowOrder;
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

  /** What becomes of a product. */
  enum Epilogue {
    STORE,
    ADD,
    /** Of the gate's and the up projection's, which lie by turns: {@code silu(gate) · up}. */
    GATE
  }

  /** Weights that a unit reads at least: claims stay rare beside the work. */
  private static final long UNIT_BYTES = 64 << 10;

  private static final int LANES = PackedMatrix.TILE_ROWS;
  private static final int[] NO_PLACES = {};
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
  private Epilogue epilogue = Epilogue.STORE;
  private float[] addend = {}; // of adapters, to gate and up: [places][matrix's rows]
  private int[] addendPlaces = {}; // of each row; empty: there is none
  private boolean panels; // unpacked, else straight from the weights
  private int[] firstTiles = new int[64]; // of the units of each row group; then behind the last
  private int tileUnits; // units of a row group
  private int rowGroups = 1;

  MatmulJob(int workers, Kernels kernels) {
    works = new TileWork[workers];
    Arrays.setAll(works, i -> new TileWork());
    this.kernels = kernels;
    matrix = PackedMatrix.NONE;
    in = new CpuTensor(0, 0);
  }

  /**
   * Where the product goes.
   *
   * @param start of the first row in data
   * @param stride of its rows
   */
  void target(float[] data, int start, int stride, Epilogue end) {
    out = data;
    outStart = start;
    outStride = stride;
    epilogue = end;
    addendPlaces = NO_PLACES;
  }

  /**
   * What is added to gate and up before they meet; to be called after {@link #target}.
   *
   * @param data {@code [places][matrix's rows]}, the gate's before up's
   * @param places of each row in it, -1 for none
   */
  void addend(float[] data, int[] places) {
    addend = data;
    addendPlaces = places;
  }

  /** Prepares {@code out = in · weightᵀ}; then run the {@link #blocks}, if any, and the units. */
  void prepare(Kernels chosen, CpuTensor input, PackedMatrix weight) {
    if ((epilogue == Epilogue.GATE) != (weight.order() == RowOrder.GATED)) {
      throw new IllegalStateException(epilogue + " of rows in order " + weight.order());
    }
    kernels = chosen;
    in = input;
    matrix = weight;
    panels = weight.layout() == Layout.FLOATS || input.rows() >= PANEL_ROWS_MIN;
    rowGroups = (input.rows() + TileWork.ROWS_MAX - 1) / TileWork.ROWS_MAX;
    divide();
    if (panels) {
      blocks.prepare(input);
    }
  }

  /**
   * Units of falling size, as many tiles as share the activations first and few ones in the end, so
   * that the last ones to end leave little waiting. Where weights are read once, all are small.
   */
  private void divide() {
    int least = (int) Math.min(UNIT_BYTES / (matrix.tileBytes() * in.rows()), TileWork.TILES_MAX);
    least =
        Math.max(
            panels ? 4 : 2,
            least & -2); // rows take two tiles at once, and gated ones come in pairs
    tileUnits = 0;
    int tile = 0;
    while (tile < matrix.tiles()) {
      if (tileUnits + 1 == firstTiles.length) {
        firstTiles = Arrays.copyOf(firstTiles, 2 * firstTiles.length);
      }
      firstTiles[tileUnits++] = tile;
      int share = (matrix.tiles() - tile) * rowGroups / (2 * works.length) & -2;
      tile += panels ? Math.clamp(share, least, TileWork.TILES_MAX) : least;
    }
    firstTiles[tileUnits] = matrix.tiles();
  }

  /** Activations as the units want them. */
  Optional<RowBlocks> blocks() {
    return panels ? Optional.of(blocks) : Optional.empty();
  }

  int units() {
    return tileUnits * rowGroups;
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
    work.sumsStep = LANES * (panels || work.rows > 1 ? (work.rows + 3) & -4 : 1);
    int firstTile = firstTiles[unit / rowGroups];
    int endTile = firstTiles[unit / rowGroups + 1];
    for (int tile = firstTile; tile < endTile; tile++) {
      start(work, tile, (tile - firstTile) * work.sumsStep);
    }
    if (panels) {
      work.blocks = blocks.data();
      work.blockRows = blocks.rows();
      work.firstRow = firstRow;
      multiplyPanels(work, firstTile, endTile);
    } else if (work.rows == 1) {
      multiplyRow(work, firstTile, endTile);
    } else {
      multiplyPairs(work, firstTile, endTile);
    }
    for (int row = 0; row < work.rows; row++) {
      if (addendPlaces.length > 0 && addendPlaces[firstRow + row] >= 0) {
        adapt(work, firstTile, endTile, row, addendPlaces[firstRow + row] * matrix.rows());
      }
      finish(work, firstTile, endTile, row, outStart + (firstRow + row) * outStride);
    }
  }

  private void start(TileWork work, int tile, int at) {
    float[] start = matrix.start();
    if (start == null) {
      Arrays.fill(work.sums, at, at + work.sumsStep, 0f);
      return;
    }
    for (int i = 0; i < work.sumsStep; i += LANES) {
      System.arraycopy(start, tile * LANES, work.sums, at + i, LANES);
    }
  }

  private void multiplyRow(TileWork work, int firstTile, int endTile) {
    for (int tile = firstTile; tile < endTile; tile += 2) {
      select(work, tile, tile - firstTile);
      if (tile + 1 < endTile) {
        kernels.pairsTwoTiles(work);
      } else {
        kernels.pairsRow(work, 0);
      }
    }
  }

  private void multiplyPairs(TileWork work, int firstTile, int endTile) {
    for (int tile = firstTile; tile < endTile; tile++) {
      select(work, tile, tile - firstTile);
      for (int row = 0; row < work.rows; row += 4) {
        kernels.pairsRows4(work, row);
      }
    }
  }

  private void multiplyPanels(TileWork work, int firstTile, int endTile) {
    for (int from = 0; from < work.columns; from += TileWork.PANEL_COLUMNS) {
      int count = Math.min(TileWork.PANEL_COLUMNS, work.columns - from);
      for (int tile = firstTile; tile < endTile; tile++) {
        select(work, tile, tile - firstTile);
        unpack(work, from, count);
        multiplyPanel(work, from, count);
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
    work.sumsAt = index * work.sumsStep;
  }

  /** Adds to the sums of gate and up what begins there. */
  private void adapt(TileWork work, int firstTile, int endTile, int row, int from) {
    int half = matrix.rows() / 2;
    for (int tile = firstTile; tile < endTile; tile++) {
      int column = tile / 2 * LANES;
      int at = (tile - firstTile) * work.sumsStep + row * LANES;
      int term = from + tile % 2 * half + column;
      kernels.add(addend, term, work.sums, at, Math.min(LANES, half - column));
    }
  }

  /** Brings one row's sums, all tiles' after each other, to where the output's row begins. */
  private void finish(TileWork work, int firstTile, int endTile, int row, int to) {
    float[] sums = work.sums;
    int step = work.sumsStep;
    int at = row * LANES;
    int columns = epilogue == Epilogue.GATE ? matrix.rows() / 2 : matrix.rows();
    switch (epilogue) {
      case STORE -> {
        for (int tile = firstTile; tile < endTile; tile++, at += step) {
          int column = tile * LANES;
          System.arraycopy(sums, at, out, to + column, Math.min(LANES, columns - column));
        }
      }
      case ADD -> {
        for (int tile = firstTile; tile < endTile; tile++, at += step) {
          int column = tile * LANES;
          kernels.add(sums, at, out, to + column, Math.min(LANES, columns - column));
        }
      }
      case GATE -> {
        for (int tile = firstTile; tile < endTile; tile += 2, at += 2 * step) {
          int column = tile / 2 * LANES;
          int lanes = Math.min(LANES, columns - column);
          kernels.gate(sums, at, at + step, out, to + column, lanes);
        }
      }
    }
  }
}
