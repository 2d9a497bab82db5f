package io.verdier.engine.run;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.model.LoadedModel;
import java.util.function.Consumer;

/**
 * The layers of the model as the runner sees them, wherever they are computed. Owned by the
 * executor thread.
 */
interface ForwardPass extends AutoCloseable {

  /** All layers are this model's. */
  static ForwardPass of(LoadedModel model) {
    return new WholeForward(model);
  }

  /** Has all layers run over the batch. */
  void forward(AttentionBatch batch);

  /** Most rows that {@link #states} takes at once. */
  int statesMax();

  /**
   * Hidden states of some rows of the last batch; waits for them.
   *
   * @param rows those from {@code from} on are taken
   * @param out {@code [count, hidden]}
   */
  void states(int[] rows, int from, int count, float[] out);

  /** As {@link StepRunner#vacate}: the cache's memory, and that of weights which can come again. */
  void vacate();

  /** As {@link StepRunner#recall}. */
  void recall();

  /** Whether it takes tokens that only a device knows; else the host must, before it begins. */
  boolean takesSampledTokens();

  /** As {@link StepRunner#onLost}. */
  void onLost(Consumer<String> hears);

  /** Ends the layers that are elsewhere; the model is the caller's. */
  @Override
  void close();

  /** Owned by the executor thread. */
  record WholeForward(LoadedModel model) implements ForwardPass {
    @Override
    public void forward(AttentionBatch batch) {
      model.transformer().forward(batch, model.cache());
    }

    @Override
    public int statesMax() {
      return model.transformer().logitsRowsMax();
    }

    @Override
    public void states(int[] rows, int from, int count, float[] out) {
      model.transformer().hiddenStates(rows, from, count, out);
    }

    @Override
    public void vacate() {
      model.transformer().vacate(model.cache());
      if (model.hasWeightsAlone()) { // else a step of another engine may be reading them
        model.transformer().release();
      }
    }

    @Override
    public void recall() {
      model.transformer().recall();
    }

    /** Of several ranks only the first one's device has the tokens. */
    @Override
    public boolean takesSampledTokens() {
      return model.transformer().ranks() == 1;
    }

    @Override
    public void onLost(Consumer<String> hears) {}

    @Override
    public void close() {}
  }
}
