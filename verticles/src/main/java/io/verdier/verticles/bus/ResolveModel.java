package io.verdier.verticles.bus;

import java.nio.file.Path;

/**
 * Asks the cache for the files of the operator's model on the local disk; answered with a {@link
 * Reply}, or a {@link Refused}. Immutable.
 */
public record ResolveModel() {
  /**
   * Where they are.
   *
   * @param directory holds {@code config.json}
   * @param tokenizer holds {@code tokenizer.json}
   */
  public record Reply(Path directory, Path tokenizer) {}
}
