package io.verdier.engine.sample;

/**
 * Log probabilities at one position, from the raw logits (before penalties and temperature).
 * Immutable.
 *
 * @param token the token at the position
 * @param logprob its log probability
 * @param rank 1 for the most probable token of the vocabulary
 * @param topIds the most probable tokens, best first; or those that were asked for, in their order
 * @param topLogprobs their log probabilities
 */
public record TokenLogprobs(
    int token, float logprob, int rank, int[] topIds, float[] topLogprobs) {}
