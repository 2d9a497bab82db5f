package io.verdier.engine.backend.cpu;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.Attention;
import java.util.Arrays;

/**
 * Paged softmax attention; a unit is a run of tokens of one slice with one key-value head. Set up
 * by the executor thread, run by the pool.
 *
 * <p>Each query goes over its positions in spans of 64 at absolute positions and keeps a running
 * maximum, totals and weighted sum (Milakov and Gimelshein, "Online normalizer calculation for
 * softmax", 2018). So a query's result depends on its own position and the cache alone, not on how
 * the prompt was cut or which queries share a unit. Scores sum over dimensions in order, values
 * over tokens in order, totals over every 16th token and these by a fixed tree.
 *
 * <p>Within a span, groups of 16 tokens are the outer loop and queries the inner one, so that a
 * group's keys and values are read once for all queries of the unit.
 */
final class AttendJob implements ComputePool.Job {
  private static final int GROUP = AttendWork.GROUP;
  private static final int SPAN = AttendWork.SPAN;
  private static final int BLOCK = AttendWork.BLOCK;

  private final AttendWork[] works;
  private final CpuKvStorage storage;
  private final int tileTokens;
  private final int queryGroup; // query heads per key-value head
  private int[] tileFirst = new int[64]; // first row of a tile in the batch
  private int[] tileCount = new int[64]; // tokens in it
  private int tiles;
  private Kernels kernels;
  private AttentionBatch batch;
  private Attention attention = new Attention(0, 1, 0);
  private CpuTensor queries;
  private CpuTensor out;

  /**
   * @param queryHeads heads of the queries that will attend to this storage
   */
  AttendJob(int workers, CpuKvStorage storage, int queryHeads, Kernels kernels) {
    this.storage = storage;
    this.kernels = kernels;
    queryGroup = queryHeads / storage.shape().heads();
    tileTokens = Math.max(1, AttendWork.ROWS / queryGroup);
    int rowsMax = (tileTokens * queryGroup + BLOCK - 1) & -BLOCK;
    works = new AttendWork[workers];
    Arrays.setAll(works, i -> new AttendWork(rowsMax, storage.shape().headDim()));
    batch = new AttentionBatch(0, 0);
    queries = new CpuTensor(0, 0);
    out = queries;
  }

  CpuKvStorage storage() {
    return storage;
  }

  int queryHeads() {
    return queryGroup * storage.shape().heads();
  }

  void prepare(
      Kernels chosen, CpuTensor target, CpuTensor source, Attention how, AttentionBatch rows) {
    kernels = chosen;
    out = target;
    queries = source;
    attention = how;
    batch = rows;
    tiles = 0;
    int end = rows.first() + rows.count();
    int row = rows.first();
    while (row < end) {
      int sliceEnd = Math.min(end, rows.sliceEnd(rows.slice(row)));
      int count = Math.min(tileTokens, sliceEnd - row);
      addTile(row, count);
      row += count;
    }
  }

  private void addTile(int row, int count) {
    if (tiles == tileFirst.length) {
      tileFirst = Arrays.copyOf(tileFirst, tiles * 2);
      tileCount = Arrays.copyOf(tileCount, tiles * 2);
    }
    tileFirst[tiles] = row;
    tileCount[tiles++] = count;
  }

  int units() {
    return tiles * storage.shape().heads();
  }

  /** Multiply-adds of the whole job, roughly. */
  long cost() {
    long positions = 0;
    for (int row = batch.first(); row < batch.first() + batch.count(); row++) {
      positions += batch.position(row) + 1;
    }
    return positions * queryHeads() * storage.shape().headDim() * 2;
  }

  @Override
  public void run(int unit, int worker) {
    AttendWork work = works[worker];
    int head = unit % storage.shape().heads();
    int tile = unit / storage.shape().heads();
    int rows = start(work, tileFirst[tile], tileCount[tile], head);
    int[] table = batch.table(batch.slice(tileFirst[tile]));
    int begin = work.firstPositions[0] / SPAN * SPAN;
    int end = work.endPositions[rows - 1];
    for (int base = begin; base < end; base += SPAN) {
      span(work, table, base, head, rows);
    }
    finish(work, tileFirst[tile], tileCount[tile], head);
  }

  private void span(AttendWork work, int[] table, int base, int head, int rows) {
    int end = Math.min(base + SPAN, work.endPositions[rows - 1]);
    for (int group = base; group < end; group += GROUP) {
      work.storage = storage.data(table, group);
      long keys = storage.keys(table, group, attention.layer(), head);
      for (int row = 0; row < rows; row += BLOCK) {
        kernels.scores8(work, keys, row, group - base);
      }
    }
    for (int row = 0; row < rows; row++) {
      weigh(work, row, from(work, base, row), to(work, base, row, SPAN));
    }
    for (int group = base; group < end; group += GROUP) {
      work.storage = storage.data(table, group);
      long values = storage.values(storage.keys(table, group, attention.layer(), head));
      for (int row = 0; row < rows; row += BLOCK) {
        values8(work, values, row, Math.min(BLOCK, rows - row), base, group);
      }
    }
  }

  /** Loads the unit's queries, token by token, head by head; returns their number. */
  private int start(AttendWork work, int first, int tokens, int head) {
    int headDim = work.headDim;
    int rows = tokens * queryGroup;
    for (int row = 0; row < rows; row++) {
      int batchRow = first + row / queryGroup;
      int position = batch.position(batchRow);
      int from = queryAt(queries, batchRow, head, row % queryGroup);
      for (int d = 0; d < headDim; d++) {
        work.queries[row * headDim + d] = queries.data[from + d] * attention.scale();
      }
      work.firstPositions[row] =
          attention.window() == 0 ? 0 : Math.max(0, position + 1 - attention.window());
      work.endPositions[row] = position + 1;
      work.maxima[row] = Float.NEGATIVE_INFINITY;
    }
    Arrays.fill(work.sums, 0, rows * headDim, 0f);
    Arrays.fill(work.totals, 0, rows * GROUP, 0f);
    return rows;
  }

  private int queryAt(CpuTensor tensor, int batchRow, int head, int queryInGroup) {
    return tensor.at(batchRow - batch.first())
        + (head * queryGroup + queryInGroup) * storage.shape().headDim();
  }

  /**
   * Eight queries at once where they see the same tokens, one by one at their edges. Where fewer
   * are left the rest of the eight is computed and dropped: a chain of multiply-adds waits for
   * itself, so eight take no longer than one.
   */
  private void values8(AttendWork work, long values, int row, int count, int base, int group) {
    int commonFrom = 0;
    int commonTo = GROUP;
    for (int r = row; r < row + count; r++) {
      commonFrom = Math.max(commonFrom, from(work, group, r));
      commonTo = Math.min(commonTo, to(work, group, r, GROUP));
    }
    commonTo = Math.max(commonFrom, commonTo);
    int column = group - base;
    for (int r = row; r < row + count; r++) {
      int from = from(work, group, r);
      int to = Math.min(to(work, group, r, GROUP), commonFrom);
      if (from < to) {
        kernels.values(work, values, r, column, from, to);
      }
    }
    if (commonFrom < commonTo) {
      kernels.values8(work, values, row, column, commonFrom, commonTo);
    }
    for (int r = row; r < row + count; r++) {
      int from = Math.max(commonTo, from(work, group, r));
      int to = to(work, group, r, GROUP);
      if (from < to) {
        kernels.values(work, values, r, column, from, to);
      }
    }
  }

  /** First token of those from {@code base} on that a row sees. */
  private static int from(AttendWork work, int base, int row) {
    return Math.max(0, work.firstPositions[row] - base);
  }

  /** Behind the last one, of so many. */
  private static int to(AttendWork work, int base, int row, int count) {
    return Math.min(count, work.endPositions[row] - base);
  }

  /**
   * Turns a row's scores into weights. Unseen tokens get exactly zero, and their values are never
   * multiplied: a block's unused part may hold anything.
   */
  private void weigh(AttendWork work, int row, int from, int to) {
    if (from >= to) {
      return; // it sees nothing of the span
    }
    float[] scores = work.scores;
    int at = row * SPAN;
    int count = (to + GROUP - 1) & -GROUP;
    boolean partly = from > 0 || to < count;
    if (partly) {
      Arrays.fill(scores, at, at + from, Float.NEGATIVE_INFINITY);
      Arrays.fill(scores, at + to, at + count, Float.NEGATIVE_INFINITY);
    }
    float before = work.maxima[row];
    float max = kernels.weights(work, row, count, before);
    if (partly) {
      Arrays.fill(scores, at, at + from, 0f);
      Arrays.fill(scores, at + to, at + count, 0f);
    }
    work.maxima[row] = max;
    kernels.total(work, row, count, max == before ? 1f : Exp.exp(before - max));
  }

  /** The sum of 16 numbers by halving: i with i + 8, then + 4, + 2, + 1. */
  static float total(float[] x, int at) {
    float a0 = (x[at] + x[at + 8]) + (x[at + 4] + x[at + 12]);
    float a1 = (x[at + 1] + x[at + 9]) + (x[at + 5] + x[at + 13]);
    float a2 = (x[at + 2] + x[at + 10]) + (x[at + 6] + x[at + 14]);
    float a3 = (x[at + 3] + x[at + 11]) + (x[at + 7] + x[at + 15]);
    return (a0 + a2) + (a1 + a3);
  }

  private void finish(AttendWork work, int first, int tokens, int head) {
    int headDim = work.headDim;
    int rows = tokens * queryGroup;
    for (int row = 0; row < rows; row++) {
      float factor = 1f / total(work.totals, row * GROUP);
      int to = queryAt(out, first + row / queryGroup, head, row % queryGroup);
      for (int d = 0; d < headDim; d++) {
        out.data[to + d] = work.sums[row * headDim + d] * factor;
      }
    }
  }
}
