package io.verdier.verticles.observe.trace;

import java.util.function.LongConsumer;

/**
 * Hears of spans that left and of those that could not. Called on any thread.
 *
 * @param sent spans that the collector has taken
 * @param failed spans that it has not, and will not get again
 */
public record SpanCounts(LongConsumer sent, LongConsumer failed) {}
