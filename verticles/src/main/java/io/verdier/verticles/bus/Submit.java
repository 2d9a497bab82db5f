package io.verdier.verticles.bus;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import java.util.List;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * HTTP asks for {@code keys.length} continuations of one prompt. Answered by {@link Deltas} for
 * every key, each ending in exactly one {@link Delta.End}. Immutable.
 *
 * @param keys one per choice; choice i uses seed + i
 * @param sampling {@code maxTokens} is {@link #MAX_TOKENS_OPEN} when the client gave none; {@code
 *     badWords} is empty, the tokenizer fills it from {@code badWords}
 * @param badWords texts that must not be produced
 * @param truncation what is kept of a prompt that is too long
 * @param text how tokens become text
 * @param adapter where it comes from; null: the base model
 * @param demand what the continuations must match; null: nothing
 * @param lengthPenalty of the beam search that finds the continuations; empty: each of them is
 *     chosen token by token
 * @param generated tokens of the one continuation that another engine generated before this one
 *     took it over; usually none
 */
public record Submit(
    long[] keys,
    Prompt prompt,
    SamplingParams sampling,
    List<String> badWords,
    Truncation truncation,
    TextParams text,
    int priority,
    String cacheSalt,
    @Nullable AdapterSource adapter,
    @Nullable Demand demand,
    OptionalDouble lengthPenalty,
    int[] generated) {

  private static final int[] NOTHING = {};

  /** As {@code maxTokens}: as many as the model's length allows. */
  public static final int MAX_TOKENS_OPEN = Integer.MAX_VALUE;

  /** Continuations that nobody has begun. */
  public Submit(
      long[] keys,
      Prompt prompt,
      SamplingParams sampling,
      List<String> badWords,
      Truncation truncation,
      TextParams text,
      int priority,
      String cacheSalt,
      @Nullable AdapterSource adapter,
      @Nullable Demand demand,
      OptionalDouble lengthPenalty) {
    this(
        keys,
        prompt,
        sampling,
        badWords,
        truncation,
        text,
        priority,
        cacheSalt,
        adapter,
        demand,
        lengthPenalty,
        NOTHING);
  }

  /** The same under other keys. */
  public Submit withKeys(long[] others) {
    return new Submit(
        others,
        prompt,
        sampling,
        badWords,
        truncation,
        text,
        priority,
        cacheSalt,
        adapter,
        demand,
        lengthPenalty,
        generated);
  }

  /**
   * One of the choices alone, as it is to go on elsewhere.
   *
   * @param choice its number among the keys
   * @param known the prompt, as tokens where they are known
   * @param before what was generated of it
   */
  public Submit resumed(int choice, Prompt known, int[] before) {
    SamplingParams own = sampling.withSeed(sampling.seed() + choice);
    return new Submit(
        new long[] {keys[choice]},
        known,
        choice == 0 ? own : own.withoutPromptLogprobs(),
        badWords,
        truncation,
        text,
        priority,
        cacheSalt,
        adapter,
        demand,
        lengthPenalty,
        before);
  }
}
