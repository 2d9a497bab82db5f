package io.verdier.engine.run;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A step between its plan and its outcome: which rows were wanted, and what has come of them so
 * far. Owned by the executor thread, and used again for the step after the next.
 */
final class RunningStep {
  private static final Logger LOG = LoggerFactory.getLogger(RunningStep.class);

  private static final int[] NO_TOKENS = {};
  private static final Sampled COMPLETE = new Sampled(-1, null);

  private final WantedRows wanted;
  private final WantedRows pooledRows;
  private final List<RunningSequence> pooled = new ArrayList<>(); // whose prompts end in this step
  private long number;
  private long[] keys = {};
  private int[][] tokens = {};
  private @Nullable TokenLogprobs[] logprobs = {};
  private int sampled;
  private List<StepOutcome.PromptLogprobs> scores = new ArrayList<>(0);
  private List<StepOutcome.Failure> failures = new ArrayList<>(0);
  private List<StepOutcome.Pooled> vectors = new ArrayList<>(0);
  private @Nullable RowResults pending; // of a chunk of the wanted rows that is still to be read
  private int pendingFrom;
  private int pendingCount;
  private boolean holdsUpNext;

  /**
   * @param rowsMax most rows of a step
   */
  RunningStep(int rowsMax) {
    wanted = new WantedRows(rowsMax);
    pooledRows = new WantedRows(rowsMax);
  }

  void begin(StepPlan plan) {
    int slices = plan.slices().size();
    wanted.clear();
    pooledRows.clear();
    pooled.clear();
    number = plan.step();
    keys = new long[slices];
    tokens = new int[slices][];
    logprobs = new TokenLogprobs[slices];
    sampled = 0;
    scores = new ArrayList<>(0);
    failures = new ArrayList<>(0);
    vectors = new ArrayList<>(0);
    pending = null;
    holdsUpNext = false;
  }

  /** Rows whose logits are needed. */
  WantedRows wanted() {
    return wanted;
  }

  /** Rows whose hidden states are needed. */
  WantedRows pooledRows() {
    return pooledRows;
  }

  /** With this step all of a sequence's rows are pooled. */
  void endPooling(RunningSequence sequence) {
    pooled.add(sequence);
  }

  /**
   * Takes hidden states of some pooled rows.
   *
   * @param states {@code [count, width]}
   */
  void pool(float[] states, int width, int from, int count) {
    for (int i = 0; i < count; i++) {
      PooledRows rows = pooledRows.sequence(from + i).pooled(width);
      rows.add(pooledRows.position(from + i), states, i * width);
    }
  }

  /** All rows are pooled: the vectors of the sequences that end with them are done. */
  void endPooling(int width) {
    for (RunningSequence sequence : pooled) {
      vectors.add(new StepOutcome.Pooled(sequence.key(), sequence.pooled(width).vectors()));
    }
  }

  /** A sequence cannot run. */
  void fail(RunningSequence sequence, ErrorCode code, String text) {
    sequence.fail();
    failures.add(new StepOutcome.Failure(sequence.key(), code, text));
    scores.removeIf(score -> score.key() == sequence.key());
  }

  /**
   * Works out which tokens may be chosen. A sequence whose constraint lets none follow fails; its
   * row is run all the same, and what comes of it dropped.
   */
  void prepareMasks() {
    for (int i = 0; i < wanted.count(); i++) {
      RunningSequence sequence = wanted.sequence(i);
      if (wanted.isChosen(i)) {
        try {
          sequence.prepareMask();
        } catch (Throwable bug) { // or a refusal
          onFailed(sequence, bug);
        }
      }
    }
  }

  /** A chunk of the wanted rows was run; the chunk before it has been read. */
  void add(RowResults results, int from, int count) {
    pending = results;
    pendingFrom = from;
    pendingCount = count;
    holdsUpNext = !results.outlivesNext();
    for (int i = from; i < from + count; i++) {
      RunningSequence sequence = wanted.sequence(i);
      if (wanted.isChosen(i)) {
        sequence.expect(i - from);
        holdsUpNext |= sequence.needsLastToken();
      }
    }
  }

  /**
   * Whether its tokens must be known before the next step can begin: they are chosen on the host,
   * or how the next one is chosen depends on them in a way that only the host knows.
   */
  boolean holdsUpNext() {
    return pending != null && holdsUpNext;
  }

  /** Reads the results of the chunk that was run last, if they have not been yet. */
  void read() {
    RowResults results = pending;
    if (results == null) {
      return;
    }
    pending = null;
    results.await();
    for (int i = pendingFrom; i < pendingFrom + pendingCount; i++) {
      read(i, results);
    }
  }

  /** Takes the score or the token of a wanted row. */
  private void read(int index, RowResults results) {
    RunningSequence sequence = wanted.sequence(index);
    if (sequence.hasFailed()) {
      return;
    }
    try {
      if (wanted.isChosen(index)) {
        take(sequence, sequence.isComplete() ? COMPLETE : results.sampled(index - pendingFrom));
      } else {
        score(sequence.key(), wanted.position(index) + 1, results.scored(index - pendingFrom));
      }
    } catch (Throwable bug) { // an error of one row, whichever, is no reason to fail the others
      onFailed(sequence, bug);
    }
  }

  private void take(RunningSequence sequence, Sampled token) {
    boolean isComplete = token.token() == COMPLETE.token();
    tokens[sampled] = isComplete ? NO_TOKENS : sequence.take(token.token());
    keys[sampled] = sequence.key();
    logprobs[sampled++] = token.logprobs();
  }

  private void onFailed(RunningSequence sequence, Throwable cause) {
    if (cause instanceof RejectedException refused) {
      fail(sequence, refused.code(), refused.text());
    } else {
      fail(sequence, ErrorCode.INTERNAL, "The server could not choose a token for this request.");
      LOG.error("Choosing a token failed for sequence {}", sequence.key(), cause);
    }
  }

  private void score(long key, int position, TokenLogprobs score) {
    if (scores.isEmpty() || scores.getLast().key() != key) {
      scores.add(new StepOutcome.PromptLogprobs(key, position, new ArrayList<>()));
    }
    scores.getLast().scores().add(score);
  }

  StepOutcome outcome() {
    return new StepOutcome(
        number,
        Arrays.copyOf(keys, sampled),
        Arrays.copyOf(tokens, sampled),
        Arrays.copyOf(logprobs, sampled),
        List.copyOf(scores),
        List.copyOf(failures),
        List.copyOf(vectors));
  }
}
