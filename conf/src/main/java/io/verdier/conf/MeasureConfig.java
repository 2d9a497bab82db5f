package io.verdier.conf;

/**
 * What is measured for the metrics beyond what costs nothing. Immutable; a part of {@link
 * ServerConfig}.
 *
 * @param blocks whether lives of the KV cache's blocks are timed
 * @param blockShare of those blocks, 0 to 1
 * @param work whether the operations and bytes of each step are estimated
 */
public record MeasureConfig(boolean blocks, double blockShare, boolean work) {}
