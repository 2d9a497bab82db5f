package io.verdier.verticles.bus;

import io.verdier.engine.schedule.StepPlan;

/** One step's work, from the scheduler to the executor. Immutable. */
public record ExecuteStep(StepPlan plan) {}
