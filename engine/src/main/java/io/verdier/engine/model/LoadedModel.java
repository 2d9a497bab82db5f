package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.KvStorage;

/**
 * A model ready to run. Handed over whole by the loading thread to the executor thread, which then
 * owns it.
 *
 * @param lengthMax most tokens of a sequence, prompt and answer together
 */
public record LoadedModel(
    ModelSpec spec,
    GenerationDefaults generation,
    int lengthMax,
    KvPlan kvPlan,
    Backend backend,
    Transformer transformer,
    KvStorage cache)
    implements AutoCloseable {

  /** Frees weights, cache and compute threads. */
  @Override
  public void close() {
    backend.close();
  }
}
