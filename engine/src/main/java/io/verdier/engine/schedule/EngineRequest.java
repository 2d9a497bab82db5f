package io.verdier.engine.schedule;

import io.verdier.engine.grammar.Guide;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
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
    @Nullable Guide guide) {

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

  /** The same, held to something. */
  public EngineRequest with(Guide held) {
    return new EngineRequest(
        key, tokens, promptTokens, sampling, text, priority, cacheSalt, adapter, held);
  }
}
