package io.verdier.engine.schedule;

/**
 * Asks for the most probable answers instead of random ones. Immutable (the keys must not be
 * changed).
 *
 * @param keys one per answer, the best one's first, which is the request's own; as many beginnings
 *     are kept at each position
 * @param lengthPenalty exponent of the length that an answer's log probability is divided by: above
 *     0 prefers long answers
 */
public record BeamSearch(long[] keys, double lengthPenalty) {}
