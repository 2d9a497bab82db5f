package io.verdier.engine.schedule;

import io.verdier.cache.host.HostLoad;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.StepOutcome.Failure;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepPlan.Slice;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A plan that the executor has. Owned by the scheduler thread.
 *
 * <p>While as many plans are under way as may be, the scheduler takes in what has arrived and
 * returns an empty plan. Where two may be, the second is made before the tokens of the first are
 * known, as if every sequence got one that does not end it: its slice then {@linkplain
 * Slice#awaitsToken awaits} that token. What is sure to end by length is left out. What ends
 * otherwise is ended by the first plan's outcome, its slice of the second runs in vain, and its
 * blocks are freed with the second's outcome. If a sequence got several tokens, its slice of the
 * second computes the first of them and samples nothing. Nobody is preempted while a plan is under
 * way, because that would win no block; a plan that needs it is not made until the last one is
 * done.
 *
 * @param sequences whose the slices are, one each
 * @param loads whose the copies to the device are, in their order
 */
record UnderWay(StepPlan plan, List<Sequence> sequences, List<LoadPart> loads) {

  /**
   * Some blocks of a load.
   *
   * @param copies how many
   */
  record LoadPart(Sequence sequence, HostLoad load, int copies) {}

  /** Whose blocks the plan reads or writes; some perhaps twice. */
  Stream<Sequence> named() {
    return Stream.concat(sequences.stream(), loads.stream().map(LoadPart::sequence));
  }

  /**
   * The plan that an outcome belongs to, null for one that had no work.
   *
   * @param current the oldest one that the executor has, if any
   * @param steps that were planned so far
   */
  static @Nullable UnderWay of(StepOutcome outcome, @Nullable UnderWay current, long steps) {
    boolean empty = outcome.keys().length == 0 && outcome.failures().isEmpty();
    if (current == null || outcome.step() != current.plan.step()) {
      if (empty && outcome.step() <= steps) {
        return null;
      }
      throw new IllegalStateException(
          "the outcome of step %d came while %s was under way"
              .formatted(outcome.step(), current == null ? "none" : "step " + current.plan.step()));
    }
    current.requireFit(outcome);
    return current;
  }

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
