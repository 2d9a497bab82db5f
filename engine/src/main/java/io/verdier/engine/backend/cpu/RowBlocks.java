package io.verdier.engine.backend.cpu;

/**
 * Lays rows of activations into blocks, in which a panel's kernel reads them one after the other; a
 * unit is one block's columns of one panel. Set up by the executor thread, run by the pool.
 *
 * <pre>
 *   panel    [blocks][columns of the panel][12 rows] f32     rows behind the last repeat it
 * </pre>
 *
 * <p>What one panel takes lies in one run. A block's panels behind each other would be a power of
 * two apart from the next block's, and fall into the same few sets of the second-level cache.
 */
final class RowBlocks implements ComputePool.Job {
  private static final int BLOCK = TileWork.BLOCK;
  private static final int COLUMNS = TileWork.PANEL_COLUMNS;

  private float[] data = {}; // [panels][blocks][columns][12]
  private CpuTensor in = new CpuTensor(0, 0);
  private int panels = 1;

  /** Prepares {@link #units} that lay the tensor's selected rows. */
  void prepare(CpuTensor source) {
    in = source;
    panels = (source.columns() + COLUMNS - 1) / COLUMNS;
    int size = Math.multiplyExact(rows(), source.columns());
    if (data.length < size) {
      data = new float[size];
    }
  }

  float[] data() {
    return data;
  }

  /** Rows of all blocks, the repeated ones included. */
  int rows() {
    return (in.rows() + BLOCK - 1) / BLOCK * BLOCK;
  }

  int units() {
    return rows() / BLOCK * panels;
  }

  @Override
  public void run(int unit, int worker) {
    int block = unit / panels;
    int from = unit % panels * COLUMNS;
    int count = Math.min(COLUMNS, in.columns() - from);
    int to = from * rows() + block * BLOCK * count;
    for (int i = 0; i < BLOCK; i += 4) {
      lay4(block * BLOCK + i, from, count, to + i);
    }
  }

  /** Four rows at a time: as many streams as come easily, and four neighbours to write. */
  private void lay4(int row, int from, int count, int to) {
    float[] x = in.data;
    float[] y = data;
    int x0 = at(row) + from;
    int x1 = at(row + 1) + from;
    int x2 = at(row + 2) + from;
    int x3 = at(row + 3) + from;
    for (int k = 0; k < count; k++) {
      y[to + k * BLOCK] = x[x0 + k];
      y[to + k * BLOCK + 1] = x[x1 + k];
      y[to + k * BLOCK + 2] = x[x2 + k];
      y[to + k * BLOCK + 3] = x[x3 + k];
    }
  }

  private int at(int row) {
    return in.at(Math.min(row, in.rows() - 1));
  }
}
