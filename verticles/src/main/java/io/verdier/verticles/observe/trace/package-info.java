/**
 * Traces of requests, sent to an OpenTelemetry collector: only with {@code --otlp-traces-endpoint},
 * and nothing here is loaded without it. Spans are written by event loops, their times in the
 * engine by the scheduler thread; they leave on OpenTelemetry's own threads, and what becomes of
 * them there touches no request. No prompts, no answers.
 */
@NullMarked
package io.verdier.verticles.observe.trace;

import org.jspecify.annotations.NullMarked;
