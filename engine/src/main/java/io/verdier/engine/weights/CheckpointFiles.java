package io.verdier.engine.weights;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Where a model's files lie, or will lie. Immutable.
 *
 * @param directory holds {@code config.json} and all other small files
 * @param tokenizer holds {@code tokenizer.json} and what belongs to it
 * @param arrivals of weights that are still on their way; null: all are there
 * @param weightBytes size of all files of weights, where some are on their way
 */
public record CheckpointFiles(
    Path directory, Path tokenizer, @Nullable Arrivals arrivals, long weightBytes) {

  /** Files that are all there. */
  public static CheckpointFiles in(Path directory) {
    return new CheckpointFiles(directory, directory, null, 0);
  }

  /** The same with a tokenizer that lies elsewhere. */
  public CheckpointFiles withTokenizer(Path other) {
    return new CheckpointFiles(directory, other, arrivals, weightBytes);
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
