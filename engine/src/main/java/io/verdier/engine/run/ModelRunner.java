package io.verdier.engine.run;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.DeviceClock;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs plans on a model. Owned by the executor thread.
 *
 * <p>A step is: bring the remembered sequences up to date; lay all slices end to end; one forward
 * pass; logits of the rows that need them, a bounded number at a time; from each row a token, or a
 * score of the prompt token behind it. A sequence in which one of these fails is reported as failed
 * and the others go on as if it were not there.
 */
public final class ModelRunner implements StepRunner {
  private static final Logger LOG = LoggerFactory.getLogger(ModelRunner.class);

  private final LoadedModel model;
  private final Transformer transformer;
  private final RowSampling sampling;
  private final AttentionBatch batch;
  private final RunningSequences running = new RunningSequences();
  private final WantedRows wanted;
  private final int vocabSize;
  private Optional<DeviceClock> clock = Optional.empty();
  private long deviceNanos;
  private double deviceSeconds;

  /**
   * @param tokensMax most tokens in a step
   * @param sequencesMax most slices in a step
   */
  public ModelRunner(LoadedModel model, int tokensMax, int sequencesMax) {
    this(model, tokensMax, sequencesMax, RowSampling.of(model, tokensMax));
  }

  /**
   * @param sampling of this model: how tests make a choice fail, or be made elsewhere
   */
  ModelRunner(LoadedModel model, int tokensMax, int sequencesMax, RowSampling sampling) {
    this.model = model;
    this.sampling = sampling;
    transformer = model.transformer();
    vocabSize = model.spec().vocabSize();
    batch = new AttentionBatch(tokensMax, sequencesMax);
    wanted = new WantedRows(tokensMax);
  }

  public LoadedModel model() {
    return model;
  }

  @Override
  public StepOutcome run(StepPlan plan) {
    for (long key : plan.forgotten()) {
      forget(running.remove(key));
    }
    for (StepPlan.Start start : plan.started()) {
      forget(running.put(new RunningSequence(start, vocabSize)));
    }
    running.rewind();
    Results results = new Results(plan);
    layOut(plan, results);
    long start = System.nanoTime();
    if (batch.rows() > 0) {
      transformer.forward(batch, model.cache());
    }
    deviceNanos += System.nanoTime() - start;
    for (int from = 0; from < wanted.count(); from += sampling.rowsMax()) {
      int count = Math.min(sampling.rowsMax(), wanted.count() - from);
      start = System.nanoTime();
      RowResults chunk = sampling.run(wanted, from, count);
      deviceNanos += System.nanoTime() - start;
      if (from + count == wanted.count()) {
        clock.ifPresent(DeviceClock::stop);
      }
      for (int i = 0; i < count; i++) {
        use(from + i, chunk, i, results);
      }
    }
    deviceSeconds += timed(wanted.count());
    return results.outcome();
  }

  /** What the device says that a step has taken; only of those that sample. */
  private double timed(int wantedRows) {
    return clock.isEmpty() || wantedRows == 0 ? 0 : clock.get().seconds();
  }

  private void forget(@Nullable RunningSequence sequence) {
    if (sequence != null) {
      sampling.forget(sequence.history());
    }
  }

  /**
   * Time that this thread has left to the device in all steps so far: where it only queues work
   * there, what it waited; else what operations took. The rest is the host's.
   */
  public long deviceNanos() {
    return model.backend().waitedNanos().orElse(deviceNanos);
  }

  /** From now on the device times the steps itself, if it has a clock. */
  public void timeSteps() {
    clock = model.backend().clock();
  }

  /** Time that the device has worked for all steps so far, gaps between them left out. */
  public double deviceSeconds() {
    return clock.isEmpty() ? deviceNanos / 1e9 : deviceSeconds;
  }

  @Override
  public void close() {
    running.clear();
    model.close();
  }

  /** Fills the batch and lists the rows whose logits are needed; sequences that cannot run fail. */
  private void layOut(StepPlan plan, Results results) {
    batch.clear();
    wanted.clear();
    for (StepPlan.Slice slice : plan.slices()) {
      RunningSequence sequence = running.next(slice.key());
      sequence.appendBlocks(slice.newBlocks(), model.kvPlan());
      String problem = sequence.problem(slice, model.kvPlan());
      if (problem != null) {
        results.fail(slice.key(), ErrorCode.INVALID_ARGUMENT, problem);
        continue;
      }
      int firstRow = batch.rows();
      batch.add(sequence, slice.computed(), slice.count(), sequence.blocks());
      want(slice, sequence, firstRow);
    }
  }

  /** Of a prompt the last row is never scored: there is no token behind it yet. */
  private void want(StepPlan.Slice slice, RunningSequence sequence, int firstRow) {
    for (int i = 0; i < slice.count(); i++) {
      int position = slice.computed() + i;
      if (sequence.isScored(position)) {
        wanted.score(firstRow + i, sequence, sequence.history().get(position + 1));
      } else if (slice.samples() && i == slice.count() - 1) {
        wanted.choose(firstRow + i, sequence);
      }
    }
  }

  /** Takes the score or the token of a wanted row, which is the {@code place}-th of its chunk. */
  private void use(int index, RowResults chunk, int place, Results results) {
    RunningSequence sequence = wanted.sequence(index);
    long key = sequence.key();
    if (results.hasFailed(key)) {
      return;
    }
    try {
      if (wanted.isChosen(index)) {
        Sampled sampled = chunk.sampled(place);
        sequence.history().append(sampled.token());
        results.sample(key, sampled);
      } else {
        int position = batch.position(wanted.rows()[index]) + 1;
        results.score(key, position, chunk.scored(place));
      }
    } catch (RejectedException refused) {
      results.fail(key, refused.code(), refused.text());
    } catch (Throwable bug) { // an error of one row, whichever, is no reason to fail the others
      results.fail(
          key, ErrorCode.INTERNAL, "The server could not choose a token for this request.");
      LOG.error("Choosing a token failed for sequence {}", key, bug);
    }
  }

  /** Gathers a step's outcome. Owned by the executor thread; lives for one step. */
  private static final class Results {
    private final long step;
    private final long[] keys;
    private final int[] tokens;
    private final @Nullable TokenLogprobs[] logprobs;
    private int sampled;
    private final List<StepOutcome.PromptLogprobs> scores = new ArrayList<>(0);
    private final List<StepOutcome.Failure> failures = new ArrayList<>(0);

    Results(StepPlan plan) {
      int slices = plan.slices().size();
      step = plan.step();
      keys = new long[slices];
      tokens = new int[slices];
      logprobs = new TokenLogprobs[slices];
    }

    void sample(long key, Sampled token) {
      keys[sampled] = key;
      tokens[sampled] = token.token();
      logprobs[sampled++] = token.logprobs();
    }

    void score(long key, int position, TokenLogprobs score) {
      if (scores.isEmpty() || scores.getLast().key() != key) {
        scores.add(new StepOutcome.PromptLogprobs(key, position, new ArrayList<>()));
      }
      scores.getLast().scores().add(score);
    }

    void fail(long key, ErrorCode code, String text) {
      failures.add(new StepOutcome.Failure(key, code, text));
      scores.removeIf(score -> score.key() == key);
    }

    boolean hasFailed(long key) {
      for (StepOutcome.Failure failure : failures) {
        if (failure.key() == key) {
          return true;
        }
      }
      return false;
    }

    StepOutcome outcome() {
      return new StepOutcome(
          step,
          Arrays.copyOf(keys, sampled),
          Arrays.copyOf(tokens, sampled),
          Arrays.copyOf(logprobs, sampled),
          List.copyOf(scores),
          List.copyOf(failures));
    }
  }
}
