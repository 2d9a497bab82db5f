package io.verdier.engine.run;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.model.KvPlan;
import io.verdier.engine.sample.LogitStages;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import io.verdier.engine.schedule.StepPlan;
import java.util.Arrays;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * What the runner remembers of a sequence between plans. Owned by the executor thread. As a
 * function it gives the token at a position.
 */
final class RunningSequence implements IntUnaryOperator {
  private final long key;
  private final TokenHistory history;
  private final SamplingParams params;
  private final int adapterSlot;
  private final @Nullable String fault;
  private final @Nullable Guidance guidance;
  private final @Nullable ThinkingLimit limit;
  private final boolean needsLastToken;
  private int[] blocks = new int[8];
  private int blockCount;
  private boolean isForgotten;
  private boolean hasFailed;
  private boolean isComplete;
  private @Nullable TokenMask mask; // for its next token
  private @Nullable PooledRows pooled; // from the first row that is
  private int expectedIndex; // of its next token in the chunk that samples it

  /**
   * @param guidance for a sequence with a constraint, at its start; null: there is none
   * @param adapterSlot as {@link AdapterSlots#enter} gives it
   */
  RunningSequence(
      StepPlan.Start start, int vocabSize, @Nullable Guidance guidance, int adapterSlot) {
    key = start.key();
    history = new TokenHistory(start.tokens(), start.promptTokens());
    params = start.sampling();
    this.adapterSlot = adapterSlot;
    this.guidance = guidance;
    limit =
        start.thinking() == null ? null : new ThinkingLimit(start.thinking(), start.promptTokens());
    needsLastToken = guidance != null || LogitStages.excludeByLastToken(params);
    fault = fault(start, vocabSize, adapterSlot);
  }

  /** Native code will index with these, so they are looked at once, here. */
  private static @Nullable String fault(StepPlan.Start start, int vocabSize, int adapterSlot) {
    if (adapterSlot == AdapterSlots.UNKNOWN) {
      return "The adapter of this request is not loaded.";
    }
    for (int token : start.tokens()) {
      if (token < 0 || token >= vocabSize) {
        return "Token id " + token + " is outside the vocabulary of " + vocabSize + " tokens.";
      }
    }
    return null;
  }

  /** The scheduler has let it go. */
  void forget() {
    isForgotten = true;
  }

  boolean isForgotten() {
    return isForgotten;
  }

  long key() {
    return key;
  }

  TokenHistory history() {
    return history;
  }

  SamplingParams params() {
    return params;
  }

  /** As {@link AdapterSlots#enter} gave it. */
  int adapterSlot() {
    return adapterSlot;
  }

  /**
   * Works out what may follow the tokens so far, all of which are known.
   *
   * @throws io.verdier.engine.RejectedException if its constraint lets nothing follow
   */
  void prepareMask() {
    mask = null;
    if (limit != null) {
      mask = limit.maskBehind(history);
    }
    if (guidance != null && mask == null) {
      mask = guidance.maskBehind(history);
      isComplete = mask != null && mask.mustEnd() && !guidance.hasEnd();
      mask = isComplete ? null : mask; // its row is run all the same, and dropped
    }
  }

  /** Takes over what may follow from whoever works it out; null: anything. */
  void hold(@Nullable TokenMask known) {
    mask = known;
  }

  /** What may follow the tokens so far; null: anything. */
  @Nullable TokenMask mask() {
    return mask;
  }

  /** Block ids in order of position; may be longer than used. */
  int[] blocks() {
    return blocks;
  }

  /** Takes over newly assigned blocks. */
  void appendBlocks(int[] ids, KvPlan plan) {
    for (int id : ids) {
      if (id < 0 || id >= plan.blocks()) {
        throw new IllegalStateException("block " + id + " of " + plan.blocks());
      }
    }
    if (blockCount + ids.length > blocks.length) {
      blocks = Arrays.copyOf(blocks, Math.max(blockCount + ids.length, blocks.length * 2));
    }
    System.arraycopy(ids, 0, blocks, blockCount, ids.length);
    blockCount += ids.length;
  }

  /** Whether the row at a position scores the prompt token behind it. */
  boolean isScored(int position) {
    return params.promptLogprobs() >= 0 && position + 1 < history.promptTokens();
  }

  /** Whether the hidden state at a position is wanted. */
  boolean isPooled(int position) {
    return params.pooling().takes(position, history.promptTokens());
  }

  /**
   * What has been pooled so far.
   *
   * @param width of a hidden state
   */
  PooledRows pooled(int width) {
    PooledRows rows = pooled;
    if (rows == null) {
      rows = new PooledRows(params.pooling(), history.promptTokens(), width);
      pooled = rows;
    }
    return rows;
  }

  /** Whether a slice ends the prompt of a sequence that is pooled. */
  boolean endsPooling(StepPlan.Slice slice) {
    return params.pooling() != Pooling.NONE
        && slice.computed() + slice.count() == history.promptTokens();
  }

  /** Why a slice cannot run; null if it can. */
  @Nullable String problem(StepPlan.Slice slice, KvPlan plan) {
    if (fault != null) {
      return fault;
    }
    int end = slice.computed() + slice.count();
    boolean mustEnd = slice.samples() && !slice.awaitsToken();
    if (slice.count() < 1 || end > history.size() || (mustEnd && !ends(slice))) {
      throw new IllegalStateException(
          "slice " + slice + " of a sequence with " + history.size() + " tokens");
    }
    if (end > (long) blockCount * plan.blockTokens()) {
      throw new IllegalStateException("slice " + slice + " with " + blockCount + " blocks");
    }
    return null;
  }

  /** Whether a slice reaches the last token: one that awaited it may find that there are more. */
  boolean ends(StepPlan.Slice slice) {
    return slice.computed() + slice.count() == history.size();
  }

  /**
   * Takes a token that was chosen for it.
   *
   * @return the token, and those that can only follow it
   */
  int[] take(int token) {
    int from = history.known();
    history.append(token);
    if (guidance != null) {
      guidance.appendForced(history);
    }
    return history.copyFrom(from);
  }

  /** It gets no more tokens. */
  void fail() {
    hasFailed = true;
  }

  boolean hasFailed() {
    return hasFailed;
  }

  /** Nothing may follow its tokens, and the model has no end token to say so. */
  boolean isComplete() {
    return isComplete;
  }

  /** The token behind the history is being sampled, in this place of its chunk. */
  void expect(int index) {
    expectedIndex = index;
  }

  /** Brings the history to a length that includes the token that is being sampled, if it is. */
  void awaitToken(int position) {
    if (history.size() == position) {
      history.await();
    }
  }

  /** Whether how its next token is chosen depends on its last one in a way only the host knows. */
  boolean needsLastToken() {
    return needsLastToken || (limit != null && !limit.isOver());
  }

  /** The token at a position, or for the one being sampled where it will be. */
  @Override
  public int applyAsInt(int position) {
    return position < history.known()
        ? history.get(position)
        : AttentionBatch.sampled(expectedIndex);
  }
}
