package io.verdier.engine.run;

import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.TokenHistory;

/**
 * Makes tokens and scores of the rows that a step wants, a chunk at a time. Owned by the executor
 * thread. Where the logits lie, and who chooses, is the implementation's; what comes out is not.
 */
interface RowSampling {

  /**
   * The way that suits the model's backend.
   *
   * @param tokensMax most rows of a step
   */
  static RowSampling of(LoadedModel model, int tokensMax) {
    int rowsMax = Math.min(tokensMax, model.transformer().logitsRowsMax());
    int[] endTokenIds = model.generation().endTokenIds();
    return model
        .backend()
        .sampler(model.spec().vocabSize(), endTokenIds, rowsMax)
        .<RowSampling>map(sampler -> new DeviceSampling(model.transformer(), sampler))
        .orElseGet(() -> new HostSampling(model));
  }

  /** Most rows of a chunk. */
  int rowsMax();

  /**
   * Works a chunk out: the rows from {@code from} on.
   *
   * @return good until the next call, or the one after it if {@link RowResults#outlivesNext}
   */
  RowResults run(WantedRows wanted, int from, int count);

  /** A sequence has left. */
  void forget(TokenHistory history);
}
