package io.verdier.engine.sample;

/** What came of a chunk of rows, by index in the chunk. Owned by the executor thread. */
public interface RowResults {

  /**
   * Waits until results are there.
   *
   * @throws RuntimeException if the device failed: then there are none of any row
   */
  void await();

  /**
   * The token chosen from a row; waits until it is there.
   *
   * @throws IllegalStateException if the row is broken
   * @throws io.verdier.engine.RejectedException if no token can be chosen
   */
  Sampled sampled(int index);

  /**
   * The score of a row's given token; waits until it is there.
   *
   * @throws IllegalStateException if the row is broken
   */
  TokenLogprobs scored(int index);

  /** Whether all of this can still be had when the next step is under way. */
  boolean outlivesNext();
}
