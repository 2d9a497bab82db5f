package io.verdier.engine.sample;

import java.util.Arrays;

/**
 * Owned by the executor thread. Finds the first tokens of a row in {@link Order} without sorting
 * it: a heap of the best ones so far, with the worst of them on top. Nearly all tokens fail one
 * comparison with that worst logit.
 */
final class TopTokens {
  private long[] heap = {};
  private int size;

  /** Selects the first tokens of the row that starts at {@code offset}. */
  void select(float[] logits, int offset, int vocabSize, int count) {
    int wanted = Math.min(count, vocabSize);
    size = 0;
    if (wanted <= 0) {
      return;
    }
    if (heap.length < wanted) {
      heap = new long[wanted];
    }
    float worst = Float.NEGATIVE_INFINITY;
    for (int id = 0; id < vocabSize; id++) {
      float logit = logits[offset + id];
      if (size < wanted) {
        add(Order.key(logit, id));
      } else if (logit > worst) { // an equal logit has a higher id: it comes later
        replaceWorst(Order.key(logit, id));
      } else {
        continue;
      }
      worst = logits[offset + Order.id(heap[0])];
    }
    Arrays.sort(heap, 0, size);
  }

  /** How many were selected: as many as wanted, or the whole row where it is shorter. */
  int size() {
    return size;
  }

  /** The id at a place of the last selection, from 0. */
  int id(int place) {
    return Order.id(heap[place]);
  }

  private void add(long key) {
    int at = size++;
    while (at > 0 && heap[(at - 1) / 2] < key) {
      heap[at] = heap[(at - 1) / 2];
      at = (at - 1) / 2;
    }
    heap[at] = key;
  }

  private void replaceWorst(long key) {
    int at = 0;
    while (2 * at + 1 < size) {
      int child = 2 * at + 1;
      if (child + 1 < size && heap[child + 1] > heap[child]) {
        child++;
      }
      if (heap[child] <= key) {
        break;
      }
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = key;
  }
}
