package io.verdier.verticles.bus;

import io.verdier.engine.schedule.StepOutput.Emission;
import java.util.List;

/**
 * What one step gave to the sequences of one detokenizer shard. One message per step and shard.
 * Immutable.
 */
public record Emissions(long step, List<Emission> emissions) {}
