package io.verdier.engine.run;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.model.KvPlan;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageThread;
import io.verdier.engine.run.pipeline.StageWork;
import io.verdier.engine.run.pipeline.StageWork.Rows;
import io.verdier.engine.run.pipeline.StageWork.Slice;
import io.verdier.engine.run.pipeline.StageWork.Vacate;
import java.util.function.Consumer;

/**
 * A stage behind the first one: runs its layers over what comes from the stage before. Owned by the
 * stage's thread.
 *
 * <p>What comes may be another process's, so every number that native code would index with is
 * looked at before. One that does not fit is no request's fault: the stage ends, and the engine.
 */
public final class StageRunner implements StageThread.Worker {
  private final LoadedModel model;
  private final AttentionBatch batch;
  private final Consumer<StageWork> onward;

  /**
   * @param model closed with this
   * @param batch room for a step
   * @param onward what becomes of work behind this stage's layers
   */
  private StageRunner(LoadedModel model, AttentionBatch batch, Consumer<StageWork> onward) {
    this.model = model;
    this.batch = batch;
    this.onward = onward;
  }

  /**
   * The stage that the model is of.
   *
   * @param model closed with this
   * @param tokensMax most tokens in a step
   * @param sequencesMax most slices in a step
   * @param next takes what goes to the next stage
   * @param back takes what the last stage has for the first one
   */
  public static StageRunner of(
      LoadedModel model,
      int tokensMax,
      int sequencesMax,
      Consumer<StageWork> next,
      Consumer<StageResult> back) {
    AttentionBatch batch = new AttentionBatch(tokensMax, sequencesMax);
    if (model.transformer().stage().isLast()) {
      StageChooser chooser = new StageChooser(model, tokensMax, back);
      return new StageRunner(model, batch, chooser::take);
    }
    return new StageRunner(
        model,
        batch,
        work -> {
          if (work instanceof Rows rows) {
            model.transformer().leave(rows.values(), batch.rows());
          }
          next.accept(work);
        });
  }

  @Override
  public void run(StageWork work) {
    if (work instanceof Rows rows) {
      compute(rows);
    } else if (work instanceof Vacate) {
      model.transformer().vacate(model.cache());
    }
    onward.accept(work);
  }

  private void compute(Rows rows) {
    batch.clear();
    for (Slice slice : rows.slices()) {
      check(slice, model.kvPlan());
      batch.add(position -> 0, slice.position(), slice.count(), slice.table());
    }
    int hidden = model.spec().hidden();
    int count = batch.rows();
    if (count == 0 || rows.values().length != (long) count * hidden) {
      throw new IllegalStateException(
          rows.values().length + " values of " + count + " rows of " + hidden);
    }
    if (rows.first() < 0 || rows.first() > batch.rowsMax() - count) {
      throw new IllegalStateException("rows from " + rows.first() + " of " + batch.rowsMax());
    }
    Transformer transformer = model.transformer();
    transformer.enter(rows.values(), count);
    transformer.forward(batch, model.cache());
  }

  private void check(Slice slice, KvPlan plan) {
    long end = (long) slice.position() + slice.count();
    boolean isCovered = end <= (long) slice.table().length * plan.blockTokens();
    boolean isLong = end > model.lengthMax();
    if (slice.position() < 0 || slice.count() < 1 || !isCovered || isLong) {
      throw new IllegalStateException(
          "%d tokens at %d with %d blocks"
              .formatted(slice.count(), slice.position(), slice.table().length));
    }
    for (int block : slice.table()) {
      if (block < 0 || block >= plan.blocks()) {
        throw new IllegalStateException("block " + block + " of " + plan.blocks());
      }
    }
  }

  @Override
  public void close() {
    model.close();
  }
}
