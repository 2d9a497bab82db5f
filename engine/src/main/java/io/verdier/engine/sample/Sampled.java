package io.verdier.engine.sample;

import org.jspecify.annotations.Nullable;

/**
 * One chosen token. Immutable.
 *
 * @param logprobs from the raw logits; null unless asked for
 */
public record Sampled(int token, @Nullable TokenLogprobs logprobs) {}
