package io.verdier.verticles.bus;

import io.verdier.engine.schedule.StepOutcome;

/**
 * One step is done, from the executor to the scheduler. The other back edge. Immutable.
 *
 * @param nanos that the executor took to begin plans and to finish this one
 */
public record StepDone(StepOutcome outcome, long nanos) {}
