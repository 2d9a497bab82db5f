package io.verdier.engine.run;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.run.pipeline.StageResult;
import io.verdier.engine.run.pipeline.StageResult.Choice;
import io.verdier.engine.run.pipeline.StageResult.Choices;
import io.verdier.engine.run.pipeline.StageResult.Confirmed;
import io.verdier.engine.run.pipeline.StageResult.Fault;
import io.verdier.engine.run.pipeline.StageResult.Score;
import io.verdier.engine.run.pipeline.StageResult.States;
import io.verdier.engine.run.pipeline.StageResult.Token;
import io.verdier.engine.run.pipeline.StageResult.Vacated;
import io.verdier.engine.run.pipeline.StageWork;
import io.verdier.engine.run.pipeline.StageWork.Choose;
import io.verdier.engine.run.pipeline.StageWork.Confirm;
import io.verdier.engine.run.pipeline.StageWork.Pool;
import io.verdier.engine.run.pipeline.StageWork.Rows;
import io.verdier.engine.run.pipeline.StageWork.Start;
import io.verdier.engine.run.pipeline.StageWork.Vacate;
import io.verdier.engine.run.pipeline.StageWork.Wanted;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.StepPlan;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the last stage does behind its layers: it keeps the rows of a step, and chooses and scores
 * tokens by them, or gives their hidden states. Owned by the stage's thread.
 *
 * <p>It remembers sequences as the first stage's runner does, their prompts and tokens only: who is
 * computed where, and what may follow, is the first stage's affair.
 */
final class StageChooser {
  private static final Logger LOG = LoggerFactory.getLogger(StageChooser.class);

  /** Sequences that may be remembered: far more than run, since they are forgotten a step late. */
  private static final int SEQUENCES_MAX = 1 << 20;

  private final LoadedModel model;
  private final Consumer<StageResult> back;
  private final Map<Long, RunningSequence> sequences = new HashMap<>();
  private final RowSampling sampling;
  private final WantedRows wanted;
  private final int vocabSize;
  private int stepRows; // that are kept

  /**
   * @param tokensMax most tokens in a step
   */
  StageChooser(LoadedModel model, int tokensMax, Consumer<StageResult> back) {
    this.model = model;
    this.back = back;
    sampling = RowSampling.of(model, tokensMax);
    wanted = new WantedRows(tokensMax);
    vocabSize = model.spec().vocabSize();
  }

  /** Goes on with work that the layers are done with. */
  void take(StageWork work) {
    switch (work) {
      case Rows rows -> keep(rows.first(), rows.values().length / model.spec().hidden());
      case Choose choose -> back.accept(choose(choose));
      case Pool pool -> back.accept(pool(pool));
      case Confirm ignored -> back.accept(new Confirmed());
      case Vacate ignored -> back.accept(new Vacated());
    }
  }

  private void keep(int first, int count) {
    model.transformer().keep(first, count);
    stepRows = first + count;
  }

  private StageResult pool(Pool pool) {
    int hidden = model.spec().hidden();
    int most = model.transformer().logitsRowsMax();
    for (int row : pool.rows()) {
      checkRow(row);
    }
    float[] all = new float[pool.rows().length * hidden];
    for (int from = 0; from < pool.rows().length; from += most) {
      int count = Math.min(most, pool.rows().length - from);
      float[] some = new float[count * hidden];
      model.transformer().hiddenStates(pool.rows(), from, count, some);
      System.arraycopy(some, 0, all, from * hidden, some.length);
    }
    return new States(all);
  }

  private void checkRow(int row) {
    if (row < 0 || row >= stepRows) {
      throw new IllegalStateException("row " + row + " of " + stepRows);
    }
  }

  private StageResult choose(Choose choose) {
    for (long id : choose.forgotten()) {
      RunningSequence sequence = sequences.remove(id);
      if (sequence != null) {
        sampling.forget(sequence.history());
      }
    }
    wanted.clear();
    for (Wanted each : choose.wanted()) {
      want(each);
    }
    List<Choice> choices = new ArrayList<>(wanted.count());
    for (int from = 0; from < wanted.count(); from += sampling.rowsMax()) {
      int count = Math.min(sampling.rowsMax(), wanted.count() - from);
      RowResults results = sampling.run(wanted, from, count);
      results.await();
      for (int i = 0; i < count; i++) {
        choices.add(choice(from + i, i, results));
      }
    }
    return new Choices(choices);
  }

  private void want(Wanted each) {
    checkRow(each.row());
    if (wanted.count() == stepRows) {
      throw new IllegalStateException("more is wanted than " + stepRows + " rows");
    }
    Start start = each.start();
    if (start != null) {
      enter(each.id(), start);
    }
    RunningSequence sequence = sequences.get(each.id());
    if (sequence == null || sequence.history().known() != each.known()) {
      throw new IllegalStateException("the tokens of sequence " + each.id() + " are not known");
    }
    checkTokens(each.added());
    for (int token : each.added()) {
      sequence.history().append(token);
    }
    if (each.given() == Wanted.CHOOSE) {
      sequence.hold(each.mask());
      wanted.choose(each.row(), each.position(), sequence);
    } else {
      checkTokens(each.given());
      wanted.score(each.row(), each.position(), sequence, each.given());
    }
  }

  private void enter(long id, Start start) {
    SamplingParams params = start.params();
    checkTokens(start.tokens());
    checkTokens(params.biasIds());
    checkTokens(params.allowedTokenIds());
    checkTokens(params.scoredIds());
    boolean isBiased = params.biasIds().length == params.biasValues().length;
    if (sequences.size() == SEQUENCES_MAX || !isBiased) {
      throw new IllegalStateException("sequence " + id + " cannot be remembered");
    }
    sequences.put(
        id,
        new RunningSequence(
            new StepPlan.Start(id, start.tokens(), start.promptTokens(), params, ""),
            vocabSize,
            null,
            AttentionBatch.NO_ADAPTER));
  }

  private void checkTokens(int... tokens) {
    for (int token : tokens) {
      if (token < 0 || token >= vocabSize) {
        throw new IllegalStateException("token " + token + " of " + vocabSize);
      }
    }
  }

  /**
   * @param index of the wanted row
   * @param inChunk its place in the chunk that was run
   */
  private Choice choice(int index, int inChunk, RowResults results) {
    try {
      return wanted.isChosen(index)
          ? new Token(results.sampled(inChunk))
          : new Score(results.scored(inChunk));
    } catch (RejectedException refused) {
      return new Fault(refused.code(), refused.text());
    } catch (RuntimeException bug) { // of one row, which is no reason to fail the others
      LOG.error("Choosing a token failed for sequence {}", wanted.sequence(index).key(), bug);
      return new Fault(ErrorCode.INTERNAL, "Choosing a token failed.");
    }
  }
}
