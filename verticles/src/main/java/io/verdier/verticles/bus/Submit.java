package io.verdier.verticles.bus;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import java.util.List;
import java.util.Optional;
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
 * @param model that is to continue it, by the first of its names; empty: the only one
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
    int[] generated,
    String model) {

  private static final int[] NOTHING = {};

  /** As {@code maxTokens}: as many as the model's length allows. */
  public static final int MAX_TOKENS_OPEN = Integer.MAX_VALUE;

  public Submit {
    badWords = List.copyOf(badWords);
  }

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
        NOTHING,
        "");
  }

  /** The same, of a certain model. */
  public Submit of(String name) {
    return new Submit(
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
        generated,
        name);
  }

  /** The same under other keys. */
  public Submit withKeys(long[] others) {
    return with(others, prompt, sampling, demand, generated);
  }

  /** The same for another prompt, or with other sampling values. */
  public Submit with(Prompt newPrompt, SamplingParams newSampling) {
    return with(keys, newPrompt, newSampling, demand, generated);
  }

  /** The same, held to what it must match only behind what the model thinks. */
  public Submit behind(Optional<ReasoningFormat> thoughts) {
    return demand == null ? this : with(keys, prompt, sampling, demand.behind(thoughts), generated);
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
    SamplingParams its = choice == 0 ? own : own.withoutPromptLogprobs();
    return with(new long[] {keys[choice]}, known, its, demand, before);
  }

  private Submit with(
      long[] newKeys,
      Prompt newPrompt,
      SamplingParams newSampling,
      @Nullable Demand newDemand,
      int[] before) {
    return new Submit(
        newKeys,
        newPrompt,
        newSampling,
        badWords,
        truncation,
        text,
        priority,
        cacheSalt,
        adapter,
        newDemand,
        lengthPenalty,
        before,
        model);
  }
}
