package io.verdier.verticles.observe.trace;

import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.samplers.Sampler;
import io.verdier.conf.TracingConfig;
import io.vertx.core.Future;
import io.vertx.core.MultiMap;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import java.time.Duration;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;

/**
 * Makes one span for each request that the engine works on and sends them away. Thread-safe.
 *
 * <p>The span is vLLM's {@code llm_request} with its {@code gen_ai.*} attributes, a child of the
 * caller's span where the request brings one ({@code traceparent}); a caller that does not sample
 * its own trace gets no span here either.
 *
 * <p><b>What it may cost.</b> A request pays for its own span; a token for nothing. Spans wait in a
 * bounded queue; while the collector is away or slow it fills up and further spans are dropped and
 * only counted.
 *
 * <p>Times in the engine come from the scheduler thread: a sequence registers here before it is
 * submitted, the scheduler leaves its times under its key before it lets the news go, and whoever
 * holds the span finds them there when the news arrive.
 */
public final class RequestTracer {
  static final String SCOPE = "verdier";

  /** OpenTelemetry's own defaults, written down: about a kilobyte each. */
  private static final int QUEUED_SPANS_MAX = 2048;

  private static final int BATCH_SPANS_MAX = 512;
  private static final Duration DELAY = Duration.ofSeconds(2);

  /** Of one batch. */
  private static final Duration EXPORT_TIMEOUT = Duration.ofSeconds(10);

  /** Less than the process has for its end. */
  private static final long FLUSH_MILLIS = 1_500;

  private static final long NANOS = 1_000_000;

  private static final TextMapGetter<MultiMap> HEADERS =
      (headers, name) -> headers == null ? null : headers.get(name);

  private final Vertx vertx;
  private final SdkTracerProvider provider;
  private final Tracer tracer;
  private final boolean detailed;
  private final ConcurrentMap<Long, EngineTimes> awaited = new ConcurrentHashMap<>();

  /** Added to {@link System#nanoTime} it gives the time since the epoch. */
  private final long epochOffsetNanos;

  /**
   * @param config with an endpoint
   * @param counts of what becomes of spans
   */
  public RequestTracer(Vertx vertx, TracingConfig config, String version, SpanCounts counts) {
    this.vertx = vertx;
    this.detailed = config.detailed();
    this.epochOffsetNanos = System.currentTimeMillis() * NANOS - System.nanoTime();
    BatchSpanProcessor queue =
        BatchSpanProcessor.builder(new CountingExporter(Exporters.open(vertx, config), counts))
            .setMaxQueueSize(QUEUED_SPANS_MAX)
            .setMaxExportBatchSize(BATCH_SPANS_MAX)
            .setScheduleDelay(DELAY)
            .setExporterTimeout(EXPORT_TIMEOUT)
            .build();
    this.provider =
        SdkTracerProvider.builder()
            .setResource(resource(config, version))
            .setSampler(Sampler.parentBased(Sampler.alwaysOn()))
            .addSpanProcessor(queue)
            .build();
    this.tracer = provider.get(SCOPE, version);
  }

  private static Resource resource(TracingConfig config, String version) {
    return Resource.getDefault()
        .merge(
            Resource.create(
                Attributes.of(
                    AttributeKey.stringKey("service.name"),
                    config.serviceName(),
                    AttributeKey.stringKey("service.version"),
                    version)));
  }

  /**
   * A request is about to be worked on.
   *
   * @param headers may name the caller's span
   * @param startNanos when it came, by {@link System#nanoTime}
   */
  public RequestTrace begin(MultiMap headers, long startNanos) {
    Context caller =
        W3CTraceContextPropagator.getInstance().extract(Context.root(), headers, HEADERS);
    return new RequestTrace(this, caller, startNanos);
  }

  Tracer tracer() {
    return tracer;
  }

  boolean isDetailed() {
    return detailed;
  }

  /** Since the epoch. */
  long epochNanos(long nanoTime) {
    return nanoTime + epochOffsetNanos;
  }

  /** A sequence of that key is about to be submitted. */
  void await(long key) {
    awaited.put(key, EngineTimes.UNKNOWN);
  }

  /**
   * A sequence said its first token, or ended without one. Called by the scheduler thread.
   *
   * @param times by {@link System#nanoTime}
   */
  public void onSpoke(long key, EngineTimes times) {
    awaited.replace(key, times); // nothing where nobody waits for it any more
  }

  /** What is known of a sequence that ended; it is forgotten here. */
  EngineTimes take(long key) {
    EngineTimes times = awaited.remove(key);
    return times == null ? EngineTimes.UNKNOWN : times;
  }

  /** Sequences that registered and have not ended. */
  int awaitedCount() {
    return awaited.size();
  }

  /** Sends what waits, within a moment, and stops. Done in any case, and never failed. */
  public Future<Void> close() {
    Promise<Void> closed = Promise.promise();
    provider.shutdown().whenComplete(closed::tryComplete);
    vertx.setTimer(FLUSH_MILLIS, late -> closed.tryComplete());
    return closed.future();
  }

  static double seconds(long nanos) {
    return nanos / (double) TimeUnit.SECONDS.toNanos(1);
  }
}
