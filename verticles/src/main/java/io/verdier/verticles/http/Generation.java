package io.verdier.verticles.http;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.Demand;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Truncation;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * One prompt and how to continue it, checked; a {@link Submit} without keys. Immutable.
 *
 * @param choices how many continuations
 * @param adapter where it comes from; null: the base model
 * @param demand what the answers must match; null: nothing
 * @param lengthPenalty of the beam search that finds the continuations; empty: no search
 */
public record Generation(
    Prompt prompt,
    int choices,
    SamplingParams sampling,
    List<String> badWords,
    Truncation truncation,
    TextParams text,
    int priority,
    String cacheSalt,
    @Nullable AdapterSource adapter,
    @Nullable Demand demand,
    OptionalDouble lengthPenalty) {
  public Generation {
    badWords = List.copyOf(badWords);
  }

  /** The same for another prompt, or with other sampling values. */
  public Generation with(Prompt newPrompt, SamplingParams newSampling) {
    return new Generation(
        newPrompt,
        choices,
        newSampling,
        badWords,
        truncation,
        text,
        priority,
        cacheSalt,
        adapter,
        demand,
        lengthPenalty);
  }

  /** The same, held to what it must match only behind what the model thinks. */
  public Generation behind(Optional<ReasoningFormat> thoughts) {
    return demand == null
        ? this
        : new Generation(
            prompt,
            choices,
            sampling,
            badWords,
            truncation,
            text,
            priority,
            cacheSalt,
            adapter,
            demand.behind(thoughts),
            lengthPenalty);
  }

  Submit submit(long[] keys) {
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
        lengthPenalty);
  }
}
