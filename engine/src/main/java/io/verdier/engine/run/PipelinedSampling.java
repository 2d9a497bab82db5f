package io.verdier.engine.run;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.run.pipeline.Pipeline;
import io.verdier.engine.run.pipeline.StageResult.Choice;
import io.verdier.engine.run.pipeline.StageResult.Choices;
import io.verdier.engine.run.pipeline.StageResult.Fault;
import io.verdier.engine.run.pipeline.StageResult.Score;
import io.verdier.engine.run.pipeline.StageResult.Token;
import io.verdier.engine.run.pipeline.StageWork.Choose;
import io.verdier.engine.run.pipeline.StageWork.Mask;
import io.verdier.engine.run.pipeline.StageWork.Start;
import io.verdier.engine.run.pipeline.StageWork.Wanted;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.sample.TokenMask;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Has the last stage choose, which is where logits are. Owned by the executor thread.
 *
 * <p>The last stage remembers the tokens of the sequences that it chooses for, since penalties look
 * at them. What it does not know yet goes with the request: of a new sequence everything, then the
 * tokens since the last request, its own choices among them, and those that a constraint added.
 */
final class PipelinedSampling implements RowSampling, RowResults {
  private static final int[] NO_TOKENS = {};

  private final Pipeline pipeline;
  private final int rowsMax;
  private final IdentityHashMap<TokenHistory, Told> told = new IdentityHashMap<>();
  private List<Long> forgotten = new ArrayList<>();
  private List<Choice> choices = List.of();
  private boolean awaited = true;
  private long ids;

  /** What the last stage knows of a sequence. Owned by the executor thread. */
  private static final class Told {
    final long id;
    int tokens;

    Told(long id) {
      this.id = id;
    }
  }

  /**
   * @param rowsMax most rows of a step
   */
  PipelinedSampling(Pipeline pipeline, int rowsMax) {
    this.pipeline = pipeline;
    this.rowsMax = rowsMax;
  }

  @Override
  public int rowsMax() {
    return rowsMax;
  }

  @Override
  public RowResults run(WantedRows rows, int from, int count) {
    await(); // of a step that failed in between: else all later results would be the ones before
    List<Wanted> wanted = new ArrayList<>(count);
    for (int i = from; i < from + count; i++) {
      wanted.add(wanted(rows, i));
    }
    long[] gone = forgotten.stream().mapToLong(id -> id).toArray();
    forgotten = new ArrayList<>();
    choices = List.of();
    pipeline.send(new Choose(gone, wanted));
    awaited = false; // what could not be sent is not waited for
    return this;
  }

  private Wanted wanted(WantedRows rows, int index) {
    RunningSequence sequence = rows.sequence(index);
    TokenHistory history = sequence.history();
    Told known = told.get(history);
    Start start = null;
    if (known == null) {
      known = new Told(++ids);
      told.put(history, known);
      start = new Start(history.copy(), history.promptTokens(), sequence.params());
      known.tokens = history.known();
    }
    int before = known.tokens;
    int[] added = before == history.known() ? NO_TOKENS : history.copyFrom(before);
    known.tokens = history.known();
    boolean isChosen = rows.isChosen(index);
    return new Wanted(
        rows.rows()[index],
        rows.position(index),
        known.id,
        start,
        isChosen ? Wanted.CHOOSE : rows.given(index),
        before,
        added,
        isChosen ? mask(sequence.mask()) : null);
  }

  /** The owner's bits: nothing changes them before a token is accepted, which comes from there. */
  private static @Nullable Mask mask(@Nullable TokenMask mask) {
    return mask == null ? null : new Mask(mask.tokens(), mask.mayEnd(), mask.mustEnd());
  }

  /** Reads what was asked for last, unless somebody has. */
  @Override
  public void await() {
    if (!awaited) {
      awaited = true;
      choices = pipeline.await(Choices.class).choices();
    }
  }

  @Override
  public boolean outlivesNext() {
    return false;
  }

  @Override
  public Sampled sampled(int index) {
    await();
    return switch (choices.get(index)) {
      case Token token -> token.sampled();
      case Fault fault -> throw failure(fault);
      case Score ignored -> throw new IllegalStateException("a score where a token was wanted");
    };
  }

  @Override
  public TokenLogprobs scored(int index) {
    await();
    return switch (choices.get(index)) {
      case Score score -> score.logprobs();
      case Fault fault -> throw failure(fault);
      case Token ignored -> throw new IllegalStateException("a token where a score was wanted");
    };
  }

  private static RuntimeException failure(Fault fault) {
    return fault.code() == ErrorCode.INTERNAL
        ? new IllegalStateException("the last stage says: " + fault.text())
        : new RejectedException(fault.code(), fault.text());
  }

  @Override
  public void forget(TokenHistory history) {
    Told known = told.remove(history);
    if (known != null) {
      forgotten.add(known.id);
    }
  }
}
