package io.verdier.verticles.bus;

import io.verdier.engine.schedule.StepPlan;
import java.util.List;

/**
 * Work for the executor, from the scheduler: it begins these plans, then finishes the one that was
 * begun first, and answers with its {@link StepDone}. Immutable.
 *
 * @param plans in order; none where one that is under way is to be finished and nothing follows it
 */
public record ExecuteStep(List<StepPlan> plans) {}
