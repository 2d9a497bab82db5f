package io.verdier.verticles.observe.trace;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.FinishReason;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Owned by the event loop of its connection: the span of one request.
 *
 * <p>A request of several sequences has one span: tokens are added up, and its times are those of
 * the sequence that took longest in each part. With {@code --collect-detailed-traces} each sequence
 * has spans {@code queue}, {@code prefill} and {@code decode} of its own below it.
 */
public final class RequestTrace {
  private static final long NEVER = Long.MIN_VALUE;

  private final RequestTracer tracer;
  private final long startNanos;
  private final Span span;
  private final Context inside;
  private final List<String> reasons = new ArrayList<>();

  private int sequences;
  private long firstTokenNanos = NEVER;
  private long queued;
  private long prefill;
  private long decode;
  private long inference;
  private boolean timed;

  RequestTrace(RequestTracer tracer, Context caller, long startNanos) {
    this.tracer = tracer;
    this.startNanos = startNanos;
    this.span =
        tracer
            .tracer()
            .spanBuilder(Names.SPAN)
            .setParent(caller)
            .setSpanKind(SpanKind.SERVER)
            .setStartTimestamp(tracer.epochNanos(startNanos), TimeUnit.NANOSECONDS)
            .startSpan();
    this.inside = caller.with(span);
  }

  /**
   * One prompt of the request is about to be submitted.
   *
   * @param keys of its sequences
   * @param model as answers name it
   */
  public void onSubmit(long[] keys, String model, SamplingParams sampling, int maxTokens) {
    if (sequences
        == 0) { // of several prompts the first speaks for all: they differ in nothing else
      span.setAttribute(Names.MODEL, model);
      span.setAttribute(Names.N, keys.length);
      span.setAttribute(Names.MAX_TOKENS, maxTokens);
      span.setAttribute(Names.TEMPERATURE, asSent(sampling.temperature()));
      span.setAttribute(Names.TOP_P, asSent(sampling.topP()));
    }
    sequences += keys.length;
    for (long key : keys) {
      tracer.await(key);
    }
  }

  /** 0.6 and not 0.6000000238. */
  private static double asSent(float value) {
    return Double.parseDouble(Float.toString(value));
  }

  /** A sequence said its first token. */
  public void onFirstToken(long nowNanos) {
    if (firstTokenNanos == NEVER) {
      firstTokenNanos = nowNanos;
    }
  }

  /** The request fails with this code. */
  public void onFailure(String code) {
    String word = code.toLowerCase(Locale.ROOT);
    span.setStatus(StatusCode.ERROR, word).setAttribute(Names.ERROR, word);
  }

  /** A sequence ended. */
  public void onEnd(long key, int choice, FinishReason reason, long nowNanos) {
    reasons.add(reason.name().toLowerCase(Locale.ROOT));
    EngineTimes times = tracer.take(key);
    if (!times.isKnown()) {
      return;
    }
    timed = true;
    queued = Math.max(queued, times.started() - times.arrived());
    prefill = Math.max(prefill, times.spoke() - times.started());
    decode = Math.max(decode, nowNanos - times.spoke());
    inference = Math.max(inference, nowNanos - times.started());
    if (tracer.isDetailed()) {
      phase("queue", choice, times.arrived(), times.started());
      phase("prefill", choice, times.started(), times.spoke());
      phase("decode", choice, times.spoke(), nowNanos);
    }
  }

  private void phase(String name, int choice, long fromNanos, long toNanos) {
    tracer
        .tracer()
        .spanBuilder(name)
        .setParent(inside)
        .setAttribute(Names.CHOICE, choice)
        .setStartTimestamp(tracer.epochNanos(fromNanos), TimeUnit.NANOSECONDS)
        .startSpan()
        .end(tracer.epochNanos(toNanos), TimeUnit.NANOSECONDS);
  }

  /**
   * All sequences have ended.
   *
   * @param id of the answer, as the client knows it
   */
  public void finish(String id, int promptTokens, int generatedTokens, long nowNanos) {
    span.setAttribute(Names.ID, id);
    span.setAttribute(Names.SEQUENCES, sequences);
    span.setAttribute(Names.PROMPT_TOKENS, promptTokens);
    span.setAttribute(Names.COMPLETION_TOKENS, generatedTokens);
    span.setAttribute(Names.FINISH_REASONS, List.copyOf(reasons));
    span.setAttribute(Names.WHOLE, RequestTracer.seconds(nowNanos - startNanos));
    if (firstTokenNanos != NEVER) {
      span.setAttribute(Names.FIRST_TOKEN, RequestTracer.seconds(firstTokenNanos - startNanos));
    }
    if (timed) {
      span.setAttribute(Names.QUEUED, RequestTracer.seconds(queued));
      span.setAttribute(Names.PREFILL, RequestTracer.seconds(prefill));
      span.setAttribute(Names.DECODE, RequestTracer.seconds(decode));
      span.setAttribute(Names.INFERENCE, RequestTracer.seconds(inference));
    }
    span.end(tracer.epochNanos(nowNanos), TimeUnit.NANOSECONDS);
  }
}
