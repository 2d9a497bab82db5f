package io.verdier.engine.backend;

import io.verdier.engine.weights.Checkpoint;
import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * Where a backend may keep packed weights between runs. Immutable.
 *
 * @param directory for nothing else; need not exist
 * @param checkpoint tells what the weights are of; waits for all of its files
 * @param rank whose part of the layers it is
 * @param stage whose layers
 * @param isComing whether some of those files are not there yet: then nothing can be kept of them,
 *     and nobody should ask for the checkpoint before all weights are read
 */
public record PackedPlace(
    Path directory, Supplier<Checkpoint> checkpoint, Rank rank, Stage stage, boolean isComing) {

  /** Of a checkpoint that is there. */
  public PackedPlace(Path directory, Checkpoint checkpoint, Rank rank) {
    this(directory, () -> checkpoint, rank, Stage.WHOLE, false);
  }
}
