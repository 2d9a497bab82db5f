/**
 * What the server tells about itself: metrics under vLLM's names, written from every thread and
 * read by {@code /metrics}; and what a log may show of a failure. No logging, no tracing back into
 * requests.
 */
@NullMarked
package io.verdier.verticles.observe;

import org.jspecify.annotations.NullMarked;
