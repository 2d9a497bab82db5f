package io.verdier.engine.grammar;

import java.util.Arrays;

/**
 * An automaton over bytes that may be in several states at once (Thompson, 1968), as {@link
 * NfaBuilder} makes it from an expression. Owned by the compiling thread.
 *
 * <p>An edge is followed for a range of bytes, for nothing, or for whatever a rule of the grammar
 * matches.
 */
final class ByteNfa {
  static final int NOTHING = -1; // the first byte of an edge that takes no byte

  private static final int FIRST_STATES = 64;
  private static final int FIRST_EDGES = 128;
  private static final int STATE_BYTES = 4;
  private static final int EDGE_BYTES = 12;

  private final Budget budget;
  private int states;
  private int edges;
  private int[] firstEdge = new int[FIRST_STATES]; // by state, -1: none
  private int[] next = new int[FIRST_EDGES]; // by edge: of the same state, -1: none
  private int[] target = new int[FIRST_EDGES];
  private int[] label =
      new int[FIRST_EDGES]; // first byte << 8 | last byte; NOTHING; or -2 - called symbol

  ByteNfa(Budget budget) {
    this.budget = budget;
  }

  int state() {
    budget.work(1);
    if (states == firstEdge.length) {
      budget.hold((long) STATE_BYTES * states);
      firstEdge = Arrays.copyOf(firstEdge, 2 * states);
    }
    firstEdge[states] = -1;
    return states++;
  }

  void bytes(int from, int first, int last, int to) {
    edge(from, (first << 8) | last, to);
  }

  void nothing(int from, int to) {
    edge(from, NOTHING, to);
  }

  /**
   * @param symbol of a call, from 0
   */
  void call(int from, int symbol, int to) {
    edge(from, -2 - symbol, to);
  }

  private void edge(int from, int labelled, int to) {
    budget.work(1);
    if (edges == next.length) {
      budget.hold((long) EDGE_BYTES * edges);
      next = Arrays.copyOf(next, 2 * edges);
      target = Arrays.copyOf(target, 2 * edges);
      label = Arrays.copyOf(label, 2 * edges);
    }
    next[edges] = firstEdge[from];
    target[edges] = to;
    label[edges] = labelled;
    firstEdge[from] = edges++;
  }

  /** Nobody needs it any more. */
  void release() {
    budget.release((long) STATE_BYTES * (firstEdge.length - FIRST_STATES));
    budget.release((long) EDGE_BYTES * (next.length - FIRST_EDGES));
  }

  int states() {
    return states;
  }

  int edges() {
    return edges;
  }

  /** The first edge of a state; -1: there is none. */
  int firstEdge(int state) {
    return firstEdge[state];
  }

  /** The edge behind one of the same state; -1: it is the last. */
  int nextEdge(int edge) {
    return next[edge];
  }

  int target(int edge) {
    return target[edge];
  }

  boolean takesNothing(int edge) {
    return label[edge] == NOTHING;
  }

  boolean takesByte(int edge) {
    return label[edge] >= 0;
  }

  int firstByte(int edge) {
    return label[edge] >> 8;
  }

  int lastByte(int edge) {
    return label[edge] & 0xff;
  }

  int symbol(int edge) {
    return -2 - label[edge];
  }
}
