package io.verdier.engine.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.SequenceRules.Ending;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepOutput.Finish;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a step has to tell. Owned by the scheduler thread. What searches hear of their sequences
 * stays among them, until they have answers.
 */
final class News {
  private static final int[] NO_TOKENS = {};

  private final Searches searches;
  private List<Emission> emissions = new ArrayList<>();

  News(Searches searches) {
    this.searches = searches;
  }

  void add(Emission emission) {
    if (Searches.isHypothesis(emission.key())) {
      emissions.addAll(searches.onNews(emission));
    } else {
      emissions.add(emission);
    }
  }

  /** A sequence has ended, and gave no token with that. */
  void end(Sequence sequence, Ending ending, @Nullable Fault fault) {
    add(
        new Emission(
            sequence.key(),
            sequence.open(),
            sequence.cachedTokens(),
            NO_TOKENS,
            List.of(),
            List.of(),
            finishOf(sequence, ending, fault)));
  }

  /** Somebody has ended a sequence. */
  void end(Sequence sequence, Cancellation cancellation) {
    if (!cancellation.silent()) {
      end(sequence, new Ending(cancellation.reason(), -1), faultOf(cancellation));
    }
  }

  /** Somebody has ended an answer that is searched for. */
  void endAnswer(Cancellation cancellation) {
    emissions.addAll(searches.cancel(cancellation, faultOf(cancellation)));
  }

  private static @Nullable Fault faultOf(Cancellation cancellation) {
    return cancellation.reason() == FinishReason.ERROR
        ? new Fault(ErrorCode.INTERNAL, "The request was ended before it was complete.")
        : null;
  }

  static Finish finishOf(Sequence sequence, Ending ending, @Nullable Fault fault) {
    return new Finish(
        ending.reason(), ending.stopToken(), Math.max(0, sequence.generatedTokens()), fault);
  }

  /** All that was told since the last call. */
  List<Emission> take() {
    List<Emission> taken = Collections.unmodifiableList(emissions);
    emissions = new ArrayList<>();
    return taken;
  }
}
