package io.verdier.engine.run;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.model.LoadedModel;
import io.verdier.engine.model.Transformer;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.Sampler;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
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
  private static final int LOGITS_ROWS_MAX = 64; // more rows read the output matrix no less often
  private static final int LOGITS_FLOATS_MAX = 16 << 20; // 64 MiB, or one row

  private final LoadedModel model;
  private final Transformer transformer;
  private final Sampler sampler;
  private final TokenChooser chooser;
  private final AttentionBatch batch;
  private final Map<Long, RunningSequence> sequences = new HashMap<>();
  private final int vocabSize;
  private final int logitsRows;
  private final float[] logits; // [logitsRows, vocab]
  private final int[] wantedRows; // rows of the batch whose logits are needed
  private final int[] wantedSlices; // index in runnable of the slice each belongs to
  private int wanted;
  private long deviceNanos;

  /** How {@link Sampler#sample} looks from here. */
  @FunctionalInterface
  interface TokenChooser {
    Sampled choose(float[] logits, int offset, TokenHistory history, SamplingParams params);
  }

  /**
   * @param tokensMax most tokens in a step
   * @param sequencesMax most slices in a step
   */
  public ModelRunner(LoadedModel model, int tokensMax, int sequencesMax) {
    this(model, tokensMax, sequencesMax, sampler -> sampler::sample);
  }

  /**
   * @param around what chooses tokens, given the sampler: how tests make a choice fail
   */
  ModelRunner(
      LoadedModel model, int tokensMax, int sequencesMax, Function<Sampler, TokenChooser> around) {
    this.model = model;
    transformer = model.transformer();
    vocabSize = model.spec().vocabSize();
    sampler = new Sampler(vocabSize, model.generation().endTokenIds());
    chooser = around.apply(sampler);
    batch = new AttentionBatch(tokensMax, sequencesMax);
    int rowsMax = Math.min(LOGITS_ROWS_MAX, transformer.logitsRowsMax());
    logitsRows = Math.clamp(LOGITS_FLOATS_MAX / vocabSize, 1, rowsMax);
    logits = new float[logitsRows * vocabSize];
    wantedRows = new int[tokensMax];
    wantedSlices = new int[tokensMax];
  }

  public LoadedModel model() {
    return model;
  }

  @Override
  public StepOutcome run(StepPlan plan) {
    for (long key : plan.forgotten()) {
      sequences.remove(key);
    }
    for (StepPlan.Start start : plan.started()) {
      sequences.put(start.key(), new RunningSequence(start, vocabSize));
    }
    Results results = new Results(plan);
    List<StepPlan.Slice> runnable = layOut(plan, results);
    long start = System.nanoTime();
    if (!runnable.isEmpty()) {
      transformer.forward(batch, model.cache());
    }
    deviceNanos += System.nanoTime() - start;
    for (int from = 0; from < wanted; from += logitsRows) {
      int count = Math.min(logitsRows, wanted - from);
      start = System.nanoTime();
      transformer.logits(wantedRows, from, count, logits);
      deviceNanos += System.nanoTime() - start;
      for (int i = 0; i < count; i++) {
        use(runnable.get(wantedSlices[from + i]), wantedRows[from + i], i * vocabSize, results);
      }
    }
    return results.outcome();
  }

  /** Time that all steps so far have spent in the backend: the rest is the host's. */
  public long deviceNanos() {
    return deviceNanos;
  }

  @Override
  public void close() {
    sequences.clear();
    model.close();
  }

  /** Fills the batch and lists the rows whose logits are needed; sequences that cannot run fail. */
  private List<StepPlan.Slice> layOut(StepPlan plan, Results results) {
    batch.clear();
    wanted = 0;
    List<StepPlan.Slice> runnable = new ArrayList<>(plan.slices().size());
    for (StepPlan.Slice slice : plan.slices()) {
      RunningSequence sequence = sequence(slice.key());
      sequence.appendBlocks(slice.newBlocks(), model.kvPlan());
      String problem = sequence.problem(slice, model.kvPlan());
      if (problem != null) {
        results.fail(slice.key(), ErrorCode.INVALID_ARGUMENT, problem);
        continue;
      }
      int firstRow = batch.rows();
      batch.add(sequence, slice.computed(), slice.count(), sequence.blocks());
      want(slice, sequence, firstRow, runnable.size());
      runnable.add(slice);
    }
    return runnable;
  }

  private void want(StepPlan.Slice slice, RunningSequence sequence, int firstRow, int index) {
    for (int i = 0; i < slice.count(); i++) {
      boolean last = slice.samples() && i == slice.count() - 1;
      if (last || sequence.isScored(slice.computed() + i)) {
        wantedRows[wanted] = firstRow + i;
        wantedSlices[wanted++] = index;
      }
    }
  }

  private RunningSequence sequence(long key) {
    RunningSequence sequence = sequences.get(key);
    if (sequence == null) {
      throw new IllegalStateException("sequence " + key + " was never started");
    }
    return sequence;
  }

  /** Scores or samples from one row of logits. */
  private void use(StepPlan.Slice slice, int row, int at, Results results) {
    if (results.hasFailed(slice.key())) {
      return;
    }
    RunningSequence sequence = sequence(slice.key());
    int position = batch.position(row);
    try {
      if (sequence.isScored(position)) {
        int next = sequence.history().get(position + 1);
        int top = sequence.params().promptLogprobs();
        results.score(slice.key(), position + 1, sampler.score(logits, at, next, top));
      }
      if (slice.samples() && position == slice.computed() + slice.count() - 1) {
        Sampled sampled = chooser.choose(logits, at, sequence.history(), sequence.params());
        sequence.history().append(sampled.token());
        results.sample(slice.key(), sampled);
      }
    } catch (RejectedException refused) {
      results.fail(slice.key(), refused.code(), refused.text());
    } catch (Throwable bug) { // an error of one row, whichever, is no reason to fail the others
      results.fail(
          slice.key(), ErrorCode.INTERNAL, "The server could not choose a token for this request.");
      LOG.error("Choosing a token failed for sequence {}", slice.key(), bug);
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
