package io.verdier.engine.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.StepOutcome.Failure;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepPlan.Slice;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A plan that the executor has. Owned by the scheduler thread.
 *
 * @param sequences whose the slices are, one each
 */
record UnderWay(StepPlan plan, List<Sequence> sequences) {

  /**
   * @throws IllegalStateException when an outcome cannot be this plan's
   */
  void requireFit(StepOutcome outcome) {
    int matched = 0;
    for (int i = 0; i < sequences.size(); i++) {
      Slice slice = plan.slices().get(i);
      if (sampledAt(outcome, slice, matched) && !sequences.get(i).isBeyond(slice)) {
        matched++;
      }
    }
    int keys = outcome.keys().length;
    if (matched != keys || outcome.tokens().length != keys || outcome.logprobs().length != keys) {
      throw new IllegalStateException(
          "the outcome of step %d has %d keys, %d tokens, %d log probabilities; %d match the plan"
              .formatted(
                  outcome.step(),
                  keys,
                  outcome.tokens().length,
                  outcome.logprobs().length,
                  matched));
    }
    for (int i = 0; i < keys; i++) {
      int count = outcome.tokens()[i].length;
      if (count != 1 && outcome.logprobs()[i] != null) {
        throw new IllegalStateException(
            "the outcome of step %d has %d tokens of sequence %d and one score"
                .formatted(outcome.step(), count, outcome.keys()[i]));
      }
    }
  }

  /** Whether the outcome's tokens at an index are the slice's. */
  static boolean sampledAt(StepOutcome outcome, Slice slice, int at) {
    return slice.samples() && at < outcome.keys().length && outcome.keys()[at] == slice.key();
  }

  /**
   * Why the slice failed, null if it did not.
   *
   * @param isServed whether it has got a token, or needs none
   * @param pools whether hidden states were to come of it
   */
  static @Nullable Fault failureOf(
      StepOutcome outcome, Slice slice, boolean isServed, boolean pools) {
    for (Failure failure : outcome.failures()) {
      if (failure.key() == slice.key()) {
        return new Fault(failure.code(), failure.text());
      }
    }
    if (pools && outcome.pooledOf(slice.key()).length == 0) {
      return new Fault(ErrorCode.INTERNAL, "The step gave no hidden states for this request.");
    }
    return slice.samples() && !isServed
        ? new Fault(ErrorCode.INTERNAL, "The step gave no token for this request.")
        : null;
  }
}
