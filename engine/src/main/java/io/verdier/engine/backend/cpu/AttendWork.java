package io.verdier.engine.backend.cpu;

import java.lang.foreign.MemorySegment;

/**
 * One worker's state of softmax attention for the queries of one key-value head. Owned by that
 * worker. A row is one query: one head of one token.
 */
final class AttendWork {
  /** Tokens that are scored together; group boundaries are absolute positions. */
  static final int GROUP = 16;

  /** Tokens that are weighed together: some groups, at absolute positions too. */
  static final int SPAN = 64;

  /** Queries that kernels take together. */
  static final int BLOCK = 8;

  /** Queries that go through a group's keys and values together, unless one head has more. */
  static final int ROWS = 32;

  final int headDim;
  MemorySegment storage = MemorySegment.NULL;
  final float[] queries; // [rows][headDim], scaled
  final float[] sums; // [rows][headDim], weighted values so far
  final float[] scores; // [rows][64], then weights
  final float[] maxima; // largest score so far
  final float[] totals; // [rows][16], sums of weights so far, token t's in t mod 16
  final int[] firstPositions; // first position that the row sees
  final int[] endPositions; // behind the last one
  final float[] keys; // [headDim][16], scalar form only
  final float[] values; // [16][headDim], scalar form only

  AttendWork(int rowsMax, int headDim) {
    this.headDim = headDim;
    queries = new float[rowsMax * headDim];
    sums = new float[rowsMax * headDim];
    scores = new float[rowsMax * SPAN];
    maxima = new float[rowsMax];
    totals = new float[rowsMax * GROUP];
    firstPositions = new int[rowsMax];
    endPositions = new int[rowsMax];
    keys = new float[GROUP * headDim];
    values = new float[GROUP * headDim];
  }
}
