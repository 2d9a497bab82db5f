package io.verdier.verticles.observe;

/**
 * A sequence that came to its end inside the engine. Immutable.
 *
 * @param queueSeconds from its arrival at the scheduler to its first step
 * @param prefillSeconds from there to its first token
 * @param decodeSeconds from its first token to its end
 * @param promptTokens of its prompt
 * @param cachedTokens of those, found in a cache
 */
public record SequenceReport(
    double queueSeconds,
    double prefillSeconds,
    double decodeSeconds,
    int promptTokens,
    int cachedTokens) {}
