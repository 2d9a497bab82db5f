package io.verdier.engine.backend.cpu;

/**
 * The hot loops. Stateless. Two forms, {@link ScalarKernels} and {@link VectorKernels}, equal to
 * the bit: the first is the second's oracle in tests and its stand-in while it is being compiled.
 */
interface Kernels {

  /** Adds the tile's products with one row to the row's sums; weights in pairs, all columns. */
  void pairsRow(TileWork work, int row);

  /**
   * The same for row 0 alone, of this tile and the one behind it, whose sums follow the first's:
   * memory gives two streams at once more than one after the other.
   */
  void pairsTwoTiles(TileWork work);

  /** As {@link #pairsRow} for the four rows from {@code row} on, reading each weight once. */
  void pairsRows4(TileWork work, int row);

  /**
   * Unpacks pairs into the panel as floats.
   *
   * @param from first column, even
   * @param count columns, even, at most {@link TileWork#PANEL_COLUMNS}
   */
  void unpack(TileWork work, int from, int count);

  /**
   * Adds the panel's products with a block of {@value TileWork#BLOCK} rows to their sums.
   *
   * @param row first of the block
   * @param from column of the activations that the panel begins at
   * @param count columns in the panel
   */
  void panelRows12(TileWork work, int row, int from, int count);

  /** The same for four rows, all in one block. */
  void panelRows4(TileWork work, int row, int from, int count);

  /**
   * Scores of {@value AttendWork#BLOCK} queries against the 16 keys of a group: {@code scores =
   * queries · keys}.
   *
   * @param column of the scores where the group's begin
   */
  void scores8(AttendWork work, long keys, int row, int column);

  /**
   * Turns one query's scores into {@code exp(scores - max)}.
   *
   * @param count scores, whole groups
   * @param before largest score so far
   * @return max, the largest of these and that
   */
  float weights(AttendWork work, int row, int count, float before);

  /**
   * Multiplies one query's totals and sums with a decay, and adds its weights to the totals.
   *
   * @param count weights, whole groups
   */
  void total(AttendWork work, int row, int count, float decay);

  /**
   * Adds values weighted by one query's scores, tokens {@code from..to} of the group in order.
   *
   * @param column of the scores where the group's begin
   */
  void values(AttendWork work, long values, int row, int column, int from, int to);

  /** The same for the {@value AttendWork#BLOCK} queries from {@code row} on. */
  void values8(AttendWork work, long values, int row, int column, int from, int to);

  /** {@code sums += terms}, element by element. */
  void add(float[] terms, int from, float[] sums, int to, int count);

  /**
   * {@code out = silu(gate) · up}, element by element.
   *
   * @param in gate values from {@code gate} on, up values from {@code up} on
   */
  void gate(float[] in, int gate, int up, float[] out, int at, int count);
}
