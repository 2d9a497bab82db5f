package io.verdier.engine.run;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Runs plans without computing them: every position gets keys and values of a kind ({@link
 * io.verdier.engine.model.Transformer#fill}), and every token is 0. Owned by the executor thread.
 * With it a benchmark has a long context in the cache at once; what then decodes on top of it is
 * real work.
 */
public final class CacheFiller implements StepRunner {
  private final LoadedModel model;
  private final AttentionBatch batch;
  private final Map<Long, RunningSequence> sequences = new HashMap<>();
  private @Nullable StepOutcome begun;

  /**
   * @param model stays the caller's
   * @param tokensMax most tokens in a step
   * @param sequencesMax most slices in a step
   */
  public CacheFiller(LoadedModel model, int tokensMax, int sequencesMax) {
    this.model = model;
    batch = new AttentionBatch(tokensMax, sequencesMax);
  }

  @Override
  public void begin(StepPlan plan) {
    if (begun != null) {
      throw new IllegalStateException("two plans at once");
    }
    for (long key : plan.forgotten()) {
      sequences.remove(key);
    }
    for (StepPlan.Start start : plan.started()) {
      sequences.put(
          start.key(),
          new RunningSequence(start, model.spec().vocabSize(), null, AttentionBatch.NO_ADAPTER));
    }
    batch.clear();
    long[] keys = new long[plan.slices().size()];
    int sampled = 0;
    for (StepPlan.Slice slice : plan.slices()) {
      RunningSequence sequence = sequences.get(slice.key());
      if (sequence == null) {
        throw new IllegalStateException("sequence " + slice.key() + " was never started");
      }
      sequence.appendBlocks(slice.newBlocks(), model.kvPlan());
      batch.add(sequence, slice.computed(), slice.count(), sequence.blocks());
      if (slice.samples()) {
        sequence.history().append(0);
        keys[sampled++] = slice.key();
      }
    }
    model.transformer().fill(batch, model.cache());
    @Nullable TokenLogprobs[] none = new TokenLogprobs[sampled];
    begun =
        new StepOutcome(
            plan.step(),
            Arrays.copyOf(keys, sampled),
            new int[sampled],
            none,
            List.of(),
            List.of());
  }

  @Override
  public StepOutcome finish() {
    StepOutcome outcome = begun;
    if (outcome == null) {
      throw new IllegalStateException("no plan is under way");
    }
    begun = null;
    return outcome;
  }

  @Override
  public void close() {
    sequences.clear();
  }
}
