package io.verdier.conf;

/**
 * What answers are like where requests do not say. Immutable.
 *
 * @param tokensAsTokenIds whether tokens beside log probabilities are shown by their ids
 * @param streamInterval tokens of a choice in an event of a stream
 */
public record AnswerDefaults(boolean tokensAsTokenIds, int streamInterval) {}
