package io.verdier.engine.weights;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Where a model's files lie, or will lie. Immutable.
 *
 * @param directory holds {@code config.json} and all other small files
 * @param arrivals of weights that are still on their way; null: all are there
 * @param weightBytes size of all files of weights, where some are on their way
 */
public record CheckpointFiles(Path directory, @Nullable Arrivals arrivals, long weightBytes) {

  /** Files that are all there. */
  public static CheckpointFiles in(Path directory) {
    return new CheckpointFiles(directory, null, 0);
  }

  /** A file of weights, once it is there. */
  Path await(String name) {
    Path file = directory.resolve(name);
    if (arrivals != null) {
      arrivals.await(file);
    }
    return file;
  }

  /** Whether some may not be there yet. */
  public boolean areComing() {
    return arrivals != null;
  }
}
