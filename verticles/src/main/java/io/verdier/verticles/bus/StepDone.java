package io.verdier.verticles.bus;

import io.verdier.engine.schedule.StepOutcome;

/**
 * One step is done, from the executor to the scheduler. The other back edge. Immutable.
 *
 * @param nanos time the step took
 */
public record StepDone(StepOutcome outcome, long nanos) {}
