package io.verdier.engine.run;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageWork;
import io.verdier.engine.run.pipeline.StageWork.Slice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * The first stage's layers, and what goes on from there. Owned by the executor thread.
 *
 * <p><b>Parts.</b> A step's rows are cut into at most as many parts as there are stages (Huang et
 * al., "GPipe", 2019): while the next stage computes one, this stage computes the one behind it.
 *
 * <pre>
 *   stage 0   A B C D                 one part:  A─────── .......  stages wait for each other
 *   stage 1     A B C D                          ....... A───────
 * </pre>
 *
 * <p>A cut may go through a sequence, since a row needs only keys and values of rows before it, and
 * every stage works through the parts in order. The numbers do not depend on it: no row's do on
 * what else is in its batch. But each part reads all weights again, so parts are not made smaller
 * than {@value #PART_ROWS_MIN} rows, where reading them takes as long as computing with them.
 */
final class PipelinedForward implements ForwardPass {
  static final int PART_ROWS_MIN = 32;

  private final LoadedModel model;
  private final Pipeline pipeline;
  private final PipelinedSampling sampling;
  private final int partRowsMin;
  private final AttentionBatch part;
  private final int hidden;

  /**
   * @param model the first stage
   * @param sampling whose answers come over the same way
   * @param part room for any part of a step, which is as large as a step may be
   * @param partRowsMin smallest part of a step that has several
   */
  PipelinedForward(
      LoadedModel model,
      Pipeline pipeline,
      PipelinedSampling sampling,
      AttentionBatch part,
      int partRowsMin) {
    this.model = model;
    this.pipeline = pipeline;
    this.sampling = sampling;
    this.part = part;
    this.partRowsMin = partRowsMin;
    hidden = model.spec().hidden();
  }

  @Override
  public void forward(AttentionBatch batch) {
    pipeline.beginStep();
    int parts = Math.clamp(batch.rows() / partRowsMin, 1, pipeline.stages());
    int rows = (batch.rows() + parts - 1) / parts;
    for (int first = 0; first < batch.rows(); first += rows) {
      forward(batch, first, Math.min(rows, batch.rows() - first));
    }
  }

  private void forward(AttentionBatch batch, int first, int count) {
    List<Slice> slices = cut(batch, first, first + count);
    model.transformer().forward(part, model.cache());
    float[] values = new float[count * hidden]; // goes to the next stage, and does not come back
    model.transformer().leave(values, count);
    pipeline.send(new StageWork.Rows(first, slices, values));
  }

  /** Fills the part with the batch's rows from {@code first} to {@code end}. */
  private List<Slice> cut(AttentionBatch batch, int first, int end) {
    List<Slice> slices = new ArrayList<>();
    part.clear();
    for (int row = first; row < end; ) {
      int slice = batch.slice(row);
      int behind = Math.min(end, batch.sliceEnd(slice));
      int position = batch.position(row);
      int from = row;
      int[] table = batch.table(slice);
      part.add(at -> batch.token(from + at - position), position, behind - row, table);
      int blocks = blocks(position + behind - row);
      slices.add(new Slice(position, behind - row, Arrays.copyOf(table, blocks)));
      row = behind;
    }
    return slices;
  }

  private int blocks(int tokens) {
    int blockTokens = model.kvPlan().blockTokens();
    return (tokens + blockTokens - 1) / blockTokens;
  }

  /** As many as go down at once: so what comes back fits wherever that does. */
  @Override
  public int statesMax() {
    return Math.max(PART_ROWS_MIN, part.rowsMax() / pipeline.stages());
  }

  @Override
  public void states(int[] rows, int from, int count, float[] out) {
    sampling.await(); // of a step that failed before it read: else that would come in its place
    pipeline.send(new StageWork.Pool(Arrays.copyOfRange(rows, from, from + count)));
    float[] values = pipeline.await(StageResult.States.class).values();
    if (values.length != count * hidden) {
      throw new IllegalStateException(values.length + " values of " + count + " hidden states");
    }
    System.arraycopy(values, 0, out, 0, values.length);
  }

  @Override
  public void vacate() {
    model.transformer().vacate(model.cache());
    sampling.await(); // likewise
    pipeline.send(new StageWork.Vacate());
    pipeline.await(StageResult.Vacated.class);
  }

  /** Weights stay where they are. */
  @Override
  public void recall() {}

  /** Tokens come from another stage. */
  @Override
  public boolean takesSampledTokens() {
    return false;
  }

  @Override
  public void onLost(Consumer<String> hears) {
    pipeline.onFailed(hears);
  }

  @Override
  public void close() {
    pipeline.close();
  }
}
