package io.verdier.engine.weights;

import java.nio.file.Path;

/** Who knows of a checkpoint's files that are still on their way. Thread-safe. */
@FunctionalInterface
public interface Arrivals {

  /**
   * Returns when a file is there, whole; at once if nobody brings it.
   *
   * @throws RuntimeException if it will not come; the text is fit for the operator
   */
  void await(Path file);
}
