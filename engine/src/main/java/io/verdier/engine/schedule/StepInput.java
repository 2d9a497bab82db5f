package io.verdier.engine.schedule;

import io.verdier.cache.host.DiskDone;
import io.verdier.cache.host.RemoteDone;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * All that has happened since the last call of {@link Scheduler#step}. Immutable.
 *
 * @param arrivals new requests, in order of arrival
 * @param cancellations sequences to end now; unknown keys are ignored
 * @param outcome of the plan that is now done, null when none was under way
 * @param diskDone what has come of work on the disk
 * @param remoteDone what has come of work at cache nodes
 */
public record StepInput(
    List<EngineRequest> arrivals,
    List<Cancellation> cancellations,
    @Nullable StepOutcome outcome,
    List<DiskDone> diskDone,
    List<RemoteDone> remoteDone) {

  /** Nothing has come of work on the disk or at cache nodes. */
  public StepInput(
      List<EngineRequest> arrivals,
      List<Cancellation> cancellations,
      @Nullable StepOutcome outcome) {
    this(arrivals, cancellations, outcome, List.of(), List.of());
  }

  /**
   * Ends a sequence from outside.
   *
   * @param silent true when nobody waits for a last emission (the client is gone, or the
   *     detokenizer has already ended the stream at a stop string)
   */
  public record Cancellation(long key, FinishReason reason, boolean silent) {}
}
