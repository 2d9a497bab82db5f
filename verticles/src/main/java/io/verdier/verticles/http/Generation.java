package io.verdier.verticles.http;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.text.reasoning.ReasoningFormat;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import java.util.Optional;

/**
 * One prompt and how to continue it, checked. Immutable.
 *
 * @param choices how many continuations
 * @param asked all that a continuation is made by, without keys
 * @param lengthField what the request calls {@link #MAX_TOKENS}, for refusals
 */
public record Generation(int choices, Submit asked, String lengthField) {
  /** By which refusals of what is asked speak of its length. */
  public static final String MAX_TOKENS = "max_tokens";

  /** Of what is {@code asked}, until it is submitted. */
  public static final long[] NO_KEYS = {};

  public Generation(int choices, Submit asked) {
    this(choices, asked, MAX_TOKENS);
  }

  public SamplingParams sampling() {
    return asked.sampling();
  }

  /** The same for another prompt, or with other sampling values. */
  public Generation with(Prompt prompt, SamplingParams sampling) {
    return new Generation(choices, asked.with(prompt, sampling), lengthField);
  }

  /** As {@link Submit#behind}. */
  public Generation behind(Optional<ReasoningFormat> thoughts) {
    return new Generation(choices, asked.behind(thoughts), lengthField);
  }

  /** The same of a request that calls {@link #MAX_TOKENS} otherwise. */
  public Generation bounded(String field) {
    return new Generation(choices, asked, field);
  }
}
