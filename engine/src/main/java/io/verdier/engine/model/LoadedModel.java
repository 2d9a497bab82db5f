package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.LoraSlots;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A model ready to run. Handed over whole by the loading thread to the executor thread, which then
 * owns it.
 *
 * @param kvPlan of the cache; with several devices, of each one's
 * @param backend of the first rank, if there are several
 * @param cache of all ranks
 * @param lengthMax most tokens of a sequence, prompt and answer together
 * @param adapters room for them; null: none may be used
 * @param memoryPlan empty where the host's memory is used
 * @param household engines that compute with the same weights; null: nobody else does
 */
public record LoadedModel(
    ModelSpec spec,
    GenerationDefaults generation,
    int lengthMax,
    KvPlan kvPlan,
    Optional<MemoryPlan> memoryPlan,
    Backend backend,
    Transformer transformer,
    KvStorage cache,
    @Nullable LoraSlots adapters,
    @Nullable Household household)
    implements AutoCloseable {

  /** The same, freed together with others. */
  LoadedModel in(Household others) {
    return new LoadedModel(
        spec,
        generation,
        lengthMax,
        kvPlan,
        memoryPlan,
        backend,
        transformer,
        cache,
        adapters,
        others);
  }

  /** Whether no other engine computes with its weights. */
  public boolean hasWeightsAlone() {
    return household == null;
  }

  /** What the device's memory plan has come to by now; empty where there is none. */
  public Optional<String> memoryTaken() {
    return memoryPlan.flatMap(plan -> backend.memory().map(plan::takenText));
  }

  /**
   * Frees weights, cache and compute threads, those of other ranks too; in a household, once the
   * last one does.
   */
  @Override
  public void close() {
    try {
      transformer.close();
    } finally {
      if (household == null) {
        backend.close();
      } else {
        household.leave();
      }
    }
  }
}
