package io.verdier.engine.backend;

import io.verdier.engine.weights.Checkpoint;
import java.nio.file.Path;

/**
 * Where a backend may keep packed weights between runs. Immutable.
 *
 * @param directory for nothing else; need not exist
 * @param checkpoint that the weights are of
 * @param rank whose part of them it is
 */
public record PackedPlace(Path directory, Checkpoint checkpoint, Rank rank) {}
