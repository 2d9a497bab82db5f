package io.verdier.engine.run;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The rows of a step whose logits or hidden states are needed, in the order of the batch, and what
 * for: the next token is chosen, the prompt token behind the row is scored, or the row is pooled.
 * Owned by the executor thread, and used again for every step.
 */
final class WantedRows {
  private static final int CHOSEN = -1;
  private static final int POOLED = -2;

  private final int[] rows;
  private final int[] positions;
  private final @Nullable RunningSequence[] sequences;
  private final int[] given;
  private int count;

  /**
   * @param rowsMax most rows of a step
   */
  WantedRows(int rowsMax) {
    rows = new int[rowsMax];
    positions = new int[rowsMax];
    sequences = new RunningSequence[rowsMax];
    given = new int[rowsMax];
  }

  void clear() {
    Arrays.fill(sequences, 0, count, null);
    count = 0;
  }

  /** The sequence's next token is to be chosen from a row of the batch, at a position. */
  void choose(int row, int position, RunningSequence sequence) {
    add(row, position, sequence, CHOSEN);
  }

  /** A token is to be scored from a row of the batch. */
  void score(int row, int position, RunningSequence sequence, int token) {
    add(row, position, sequence, token);
  }

  /** The hidden state of a row of the batch, at a position, is wanted. */
  void pool(int row, int position, RunningSequence sequence) {
    add(row, position, sequence, POOLED);
  }

  private void add(int row, int position, RunningSequence sequence, int token) {
    rows[count] = row;
    positions[count] = position;
    sequences[count] = sequence;
    given[count++] = token;
  }

  int count() {
    return count;
  }

  /** Rows of the batch; only the first {@link #count} of the array are meant. */
  int[] rows() {
    return rows;
  }

  /** Where the row's token stands in its sequence. */
  int position(int index) {
    return positions[index];
  }

  RunningSequence sequence(int index) {
    RunningSequence sequence = sequences[index];
    if (sequence == null) {
      throw new IllegalStateException("wanted row " + index + " of " + count);
    }
    return sequence;
  }

  boolean isChosen(int index) {
    return given[index] == CHOSEN;
  }

  /** The token to score. */
  int given(int index) {
    return given[index];
  }
}
