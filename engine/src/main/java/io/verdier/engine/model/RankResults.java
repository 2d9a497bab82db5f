package io.verdier.engine.model;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenLogprobs;

/**
 * The first rank's results, which are good only if no rank has failed: when the meeting is aborted
 * the first device stops waiting for the others' numbers and computes with what it has. Owned by
 * the executor thread.
 */
record RankResults(RowResults first, Meeting meeting) implements RowResults {

  /**
   * @throws io.verdier.engine.backend.RankFailure if another rank failed
   */
  @Override
  public void await() {
    try {
      first.await();
    } catch (RuntimeException | Error failed) {
      meeting.abort(failed); // the other devices may wait for this one
      throw failed;
    }
    meeting.requireWhole(); // afterwards: only now nothing more can come between
  }

  @Override
  public Sampled sampled(int index) {
    return first.sampled(index);
  }

  @Override
  public TokenLogprobs scored(int index) {
    return first.scored(index);
  }

  @Override
  public boolean outlivesNext() {
    return first.outlivesNext();
  }
}
