package io.verdier.engine.schedule;

import io.verdier.cache.host.BlockCopy;
import io.verdier.engine.grammar.Guide;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.ThinkingBudget;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The work of one step, from the scheduler to the executor. Immutable. A plan is a difference: the
 * executor remembers each started sequence (its tokens, sampled ones included, and its block table)
 * until the plan that names it in {@code forgotten}. Order of effect: forget, start, copy, run the
 * slices.
 *
 * <p>A plan may be made while the one before it is under way. What of it depends on that one's
 * tokens is said slice by slice; sequences that end with one of them are in this plan all the same,
 * and what comes of their slices is dropped.
 *
 * @param step number of the step, counting from 1
 * @param forgotten sequences that ended or were preempted; their blocks may already belong to
 *     others in this very plan
 * @param started sequences the executor does not know yet, or was told to forget
 * @param slices what to compute, in batch order; each key at most once
 */
public record StepPlan(
    long step, long[] forgotten, List<Start> started, List<Slice> slices, Copies copies) {

  /** A plan that copies nothing. */
  public StepPlan(long step, long[] forgotten, List<Start> started, List<Slice> slices) {
    this(step, forgotten, started, slices, Copies.NONE);
  }

  /** A plan without work; it is not sent unless something is to be forgotten. */
  public boolean isEmpty() {
    return slices.isEmpty() && copies.isEmpty();
  }

  /**
   * Blocks to copy between the device and the host's memory. They are done with the plan: its
   * outcome says whether all have been made.
   *
   * @param urgent from the device, of blocks that this plan writes or copies in: to be made before
   * @param out from the device, to be made before the next plan writes: beside the slices
   * @param in to the device, into blocks that no slice of this plan knows
   */
  public record Copies(List<BlockCopy> urgent, List<BlockCopy> out, List<BlockCopy> in) {

    /** Nothing to copy. */
    public static final Copies NONE = new Copies(List.of(), List.of(), List.of());

    public boolean isEmpty() {
      return urgent.isEmpty() && out.isEmpty() && in.isEmpty();
    }
  }

  /** Tokens that it computes. */
  int tokens() {
    return slices.stream().mapToInt(Slice::count).sum();
  }

  /**
   * A sequence enters the executor.
   *
   * @param tokens all known tokens: prompt, then generated ones
   * @param promptTokens how many of them are the prompt
   * @param guide what it is held to; null: nothing
   * @param thinking how long it may think; null: as long as it likes
   */
  public record Start(
      long key,
      int[] tokens,
      int promptTokens,
      SamplingParams sampling,
      String adapter,
      @Nullable Guide guide,
      @Nullable ThinkingBudget thinking) {

    /** A sequence without a constraint. */
    public Start(
        long key, int[] tokens, int promptTokens, SamplingParams sampling, String adapter) {
      this(key, tokens, promptTokens, sampling, adapter, null, null);
    }
  }

  /**
   * A run of consecutive tokens of one sequence.
   *
   * @param computed tokens whose keys and values are in the cache already; the slice begins at this
   *     position
   * @param count tokens to compute, ≥ 1
   * @param newBlocks block ids to append to the sequence's block table before the step; the table
   *     then covers {@code computed + count} tokens. A sequence's first slice carries its whole
   *     table, prefix-cache hits included
   * @param samples whether the slice reaches the sequence's last token, so that a new one is
   *     sampled from it
   * @param awaitsToken whether the slice is the one token that the plan before this one samples, so
   *     that the scheduler does not know it yet; all other tokens are known. If that plan gives
   *     more than one, the slice samples nothing
   */
  public record Slice(
      long key, int computed, int count, int[] newBlocks, boolean samples, boolean awaitsToken) {

    /** A slice of known tokens. */
    public Slice(long key, int computed, int count, int[] newBlocks, boolean samples) {
      this(key, computed, count, newBlocks, samples, false);
    }
  }
}
