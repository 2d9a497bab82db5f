package io.verdier.engine.run;

import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;

/**
 * Executes plans. Owned by the executor thread: one call at a time.
 *
 * <p>A sequence that fails is reported in the outcome and the others go on. A call that throws
 * failed as a whole: the caller fails every sequence of the plan and goes on with the next.
 */
public interface StepRunner extends AutoCloseable {

  /** Runs one plan to its end and returns one token for each slice that samples. */
  StepOutcome run(StepPlan plan);

  @Override
  void close();
}
