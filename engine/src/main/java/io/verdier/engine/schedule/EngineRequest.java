package io.verdier.engine.schedule;

import io.verdier.engine.grammar.Guide;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.ThinkingBudget;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One sequence to generate: what the scheduler is asked for. Immutable.
 *
 * @param key names the sequence for its whole life, unique among live ones
 * @param tokens tokens known so far: the prompt, and behind it what was generated before the
 *     sequence moved here
 * @param promptTokens how many of {@code tokens} are the prompt, ≥ 1
 * @param sampling {@code maxTokens} resolved; counts all generated tokens, those in {@code tokens}
 *     included
 * @param text carried through to the detokenizer, not read here
 * @param priority lower is served earlier; 0 under first-come-first-served
 * @param cacheSalt separates prefix caches of tenants; empty: shared
 * @param adapter identity of the LoRA adapter; empty: the base model
 * @param guide what the answer is held to; null: nothing
 * @param search asks for the best of all answers that a beam search finds, under several keys;
 *     null: each token is chosen for good
 * @param thinking how long it may think; null: as long as it likes
 */
public record EngineRequest(
    long key,
    int[] tokens,
    int promptTokens,
    SamplingParams sampling,
    TextParams text,
    int priority,
    String cacheSalt,
    String adapter,
    @Nullable Guide guide,
    @Nullable BeamSearch search,
    @Nullable ThinkingBudget thinking) {

  /** A sequence without a constraint. */
  public EngineRequest(
      long key,
      int[] tokens,
      int promptTokens,
      SamplingParams sampling,
      TextParams text,
      int priority,
      String cacheSalt,
      String adapter) {
    this(key, tokens, promptTokens, sampling, text, priority, cacheSalt, adapter, null);
  }

  /** A sequence that nobody searches for. */
  public EngineRequest(
      long key,
      int[] tokens,
      int promptTokens,
      SamplingParams sampling,
      TextParams text,
      int priority,
      String cacheSalt,
      String adapter,
      @Nullable Guide guide) {
    this(
        key, tokens, promptTokens, sampling, text, priority, cacheSalt, adapter, guide, null, null);
  }

  /** The prompt alone, without what was generated before the sequence moved here. */
  public int[] prompt() {
    return Arrays.copyOf(tokens, promptTokens);
  }

  /** The same with an adapter. */
  public EngineRequest withAdapter(String identity) {
    return with(identity, guide, search, thinking);
  }

  /** The same, held to something. */
  public EngineRequest with(Guide held) {
    return with(adapter, held, search, thinking);
  }

  /** The same prompt under its own key, with answers to be searched for. */
  public EngineRequest with(BeamSearch searched) {
    return with(adapter, guide, searched, thinking);
  }

  /** The same, thinking no longer than that. */
  public EngineRequest with(ThinkingBudget budget) {
    return with(adapter, guide, search, budget);
  }

  private EngineRequest with(
      String itsAdapter,
      @Nullable Guide held,
      @Nullable BeamSearch searched,
      @Nullable ThinkingBudget budget) {
    return new EngineRequest(
        key,
        tokens,
        promptTokens,
        sampling,
        text,
        priority,
        cacheSalt,
        itsAdapter,
        held,
        searched,
        budget);
  }

  /** One of the answers of a search, as if it was the only one. */
  EngineRequest answer(long answerKey) {
    return new EngineRequest(
        answerKey, tokens, promptTokens, sampling, text, priority, cacheSalt, adapter, guide);
  }

  /**
   * A beginning of one of those answers.
   *
   * @param begun prompt and what of the answer is supposed
   */
  EngineRequest hypothesis(long itsKey, int[] begun, SamplingParams one) {
    return new EngineRequest(
        itsKey, begun, promptTokens, one, text, priority, cacheSalt, adapter, guide);
  }
}
