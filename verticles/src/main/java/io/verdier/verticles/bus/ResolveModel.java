package io.verdier.verticles.bus;

import java.nio.file.Path;
import java.util.Optional;

/**
 * Asks the cache for a model's files on the local disk; answered with a {@link Reply}, or a {@link
 * Refused}. Immutable.
 *
 * @param source as the operator gave it, empty: the embedded demo model
 */
public record ResolveModel(Optional<String> source) {
  /** Directory that holds {@code config.json}. */
  public record Reply(Path directory) {}
}
