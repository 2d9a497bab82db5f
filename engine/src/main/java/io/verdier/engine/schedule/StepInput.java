package io.verdier.engine.schedule;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * All that has happened since the last call of {@link Scheduler#step}. Immutable.
 *
 * @param arrivals new requests, in order of arrival
 * @param cancellations sequences to end now; unknown keys are ignored
 * @param outcome of the plan that is now done, null when none was under way
 */
public record StepInput(
    List<EngineRequest> arrivals, List<Cancellation> cancellations, @Nullable StepOutcome outcome) {

  /**
   * Ends a sequence from outside.
   *
   * @param silent true when nobody waits for a last emission (the client is gone, or the
   *     detokenizer has already ended the stream at a stop string)
   */
  public record Cancellation(long key, FinishReason reason, boolean silent) {}
}
