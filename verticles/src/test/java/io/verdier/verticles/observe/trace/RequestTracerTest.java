package io.verdier.verticles.observe.trace;

import static org.assertj.core.api.Assertions.assertThat;

import io.opentelemetry.proto.trace.v1.Span;
import io.verdier.conf.TracingConfig;
import io.verdier.conf.TracingConfig.Protocol;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.launch.FreePorts;
import io.vertx.core.MultiMap;
import io.vertx.core.Vertx;
import java.net.URI;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Spans through real exporters to a collector in good and in bad moods; about two seconds. */
class RequestTracerTest {
  private static final long SECOND = 1_000_000_000;
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";

  private final AtomicLong sent = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private Vertx vertx;

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
  }

  @AfterEach
  void stop() throws Exception {
    vertx.close().toCompletionStage().toCompletableFuture().get(10, TimeUnit.SECONDS);
  }

  private RequestTracer tracer(String address, Protocol protocol) {
    URI endpoint =
        URI.create("http://" + address + (protocol == Protocol.HTTP ? "/v1/traces" : ""));
    TracingConfig config =
        new TracingConfig(
            Optional.of(endpoint), protocol, Map.of("authorization", "Bearer x"), "shop", false);
    return new RequestTracer(
        vertx, config, "1.2.3", new SpanCounts(sent::addAndGet, failed::addAndGet));
  }

  private static void request(RequestTracer tracer, MultiMap headers, long start) {
    RequestTrace trace = tracer.begin(headers, start);
    trace.onSubmit(new long[] {1, 2}, "ship", SamplingParams.greedy(9), 9);
    tracer.onSpoke(1, new EngineTimes(start + SECOND, start + 2 * SECOND, start + 4 * SECOND));
    trace.onFirstToken(start + 4 * SECOND);
    trace.onEnd(1, 0, FinishReason.STOP, start + 8 * SECOND);
    trace.onEnd(2, 1, FinishReason.ABORT, start + 9 * SECOND);
    trace.finish("chatcmpl-1", 5, 7, start + 9 * SECOND);
    assertThat(tracer.awaitedCount()).isZero();
  }

  private static MultiMap caller(String flags) {
    return MultiMap.caseInsensitiveMultiMap()
        .add("TraceParent", "00-" + TRACE + "-b7ad6b7169203331-" + flags)
        .add("tracestate", "vendor=1");
  }

  /** What waits is sent at once; the future does not wait long for it. */
  private static void close(RequestTracer tracer) throws Exception {
    tracer.close().toCompletionStage().toCompletableFuture().get(20, TimeUnit.SECONDS);
  }

  @Test
  void grpc_request_isOneSpanBelowItsCallers() throws Exception {
    checkOneSpan(Protocol.GRPC);
  }

  @Test
  void http_request_isOneSpanBelowItsCallers() throws Exception {
    checkOneSpan(Protocol.HTTP);
  }

  private void checkOneSpan(Protocol protocol) throws Exception {
    try (Collector collector = new Collector(Collector.Mood.TAKES)) {
      RequestTracer tracer = tracer(collector.address(), protocol);
      long before = System.currentTimeMillis();
      request(tracer, caller("01"), System.nanoTime());
      close(tracer);
      collector.awaitSpans(1);
      Collector.await(() -> sent.get() == 1, "the collector's thanks");
      assertThat(collector.authorizations()).containsExactly("Bearer x");
      assertThat(collector.resources().getFirst())
          .containsEntry("service.name", "shop")
          .containsEntry("service.version", "1.2.3");
      Span span = collector.spans().getFirst();
      assertThat(collector.spans()).hasSize(1);
      assertThat(span.getName()).isEqualTo("llm_request");
      assertThat(span.getKind()).isEqualTo(Span.SpanKind.SPAN_KIND_SERVER);
      assertThat(hex(span.getTraceId())).isEqualTo(TRACE);
      assertThat(hex(span.getParentSpanId())).isEqualTo("b7ad6b7169203331");
      assertThat(span.getTraceState()).isEqualTo("vendor=1");
      assertThat(span.getStartTimeUnixNano() / 1_000_000).isBetween(before - 1000, before + 1000);
      assertThat(span.getEndTimeUnixNano() - span.getStartTimeUnixNano()).isEqualTo(9 * SECOND);
      checkAttributes(span);
      assertThat(failed).hasValue(0);
    }
  }

  private static void checkAttributes(Span span) {
    assertThat(Collector.value(span, "gen_ai.request.id").getStringValue()).isEqualTo("chatcmpl-1");
    assertThat(Collector.value(span, "gen_ai.request.n").getIntValue()).isEqualTo(2);
    assertThat(Collector.value(span, "gen_ai.request.max_tokens").getIntValue()).isEqualTo(9);
    assertThat(Collector.value(span, "gen_ai.request.temperature").getDoubleValue()).isZero();
    assertThat(Collector.value(span, "gen_ai.request.top_p").getDoubleValue()).isEqualTo(1);
    assertThat(Collector.value(span, "gen_ai.response.model").getStringValue()).isEqualTo("ship");
    assertThat(Collector.value(span, "gen_ai.usage.num_sequences").getIntValue()).isEqualTo(2);
    assertThat(Collector.value(span, "gen_ai.usage.prompt_tokens").getIntValue()).isEqualTo(5);
    assertThat(Collector.value(span, "gen_ai.usage.completion_tokens").getIntValue()).isEqualTo(7);
    assertThat(Collector.value(span, "gen_ai.latency.time_to_first_token").getDoubleValue())
        .isEqualTo(4);
    assertThat(Collector.value(span, "gen_ai.latency.e2e").getDoubleValue()).isEqualTo(9);
    assertThat(Collector.value(span, "gen_ai.latency.time_in_queue").getDoubleValue()).isEqualTo(1);
    assertThat(Collector.value(span, "gen_ai.latency.time_in_model_prefill").getDoubleValue())
        .isEqualTo(2);
    assertThat(Collector.value(span, "gen_ai.latency.time_in_model_decode").getDoubleValue())
        .isEqualTo(4);
    assertThat(Collector.value(span, "gen_ai.latency.time_in_model_inference").getDoubleValue())
        .isEqualTo(6);
    assertThat(
            Collector.value(span, "gen_ai.response.finish_reasons").getArrayValue().getValuesList())
        .extracting(value -> value.getStringValue())
        .containsExactly("stop", "abort");
  }

  static String hex(com.google.protobuf.ByteString bytes) {
    return java.util.HexFormat.of().formatHex(bytes.toByteArray());
  }

  @Test
  void caller_notSampled_noSpan() throws Exception {
    try (Collector collector = new Collector(Collector.Mood.TAKES)) {
      RequestTracer tracer = tracer(collector.address(), Protocol.GRPC);
      request(tracer, caller("00"), System.nanoTime());
      close(tracer);
      assertThat(collector.calls()).isZero();
    }
  }

  @Test
  void caller_nonsense_ownTrace() throws Exception {
    try (Collector collector = new Collector(Collector.Mood.TAKES)) {
      RequestTracer tracer = tracer(collector.address(), Protocol.GRPC);
      request(tracer, MultiMap.caseInsensitiveMultiMap().add("traceparent", "x"), 0);
      close(tracer);
      collector.awaitSpans(1);
      assertThat(collector.spans().getFirst().getParentSpanId().isEmpty()).isTrue();
    }
  }

  @Test
  void collector_refuses_spansAreCountedAsFailed() throws Exception {
    for (Protocol protocol : Protocol.values()) {
      failed.set(0);
      try (Collector collector = new Collector(Collector.Mood.REFUSES)) {
        RequestTracer tracer = tracer(collector.address(), protocol);
        request(tracer, caller("01"), 0);
        close(tracer);
        Collector.await(() -> failed.get() == 1, protocol + " failure");
        assertThat(collector.calls()).isEqualTo(1);
      }
    }
    assertThat(sent).hasValue(0);
  }

  @Test
  void collector_absent_spansAreCountedAsFailed() throws Exception {
    String nobody = "127.0.0.1:" + FreePorts.one();
    RequestTracer tracer = tracer(nobody, Protocol.GRPC);
    request(tracer, caller("01"), 0);
    close(tracer);
    Collector.await(() -> failed.get() == 1, "the failure");
  }

  @Test
  void collector_neverAnswers_requestsGoOnAndTheEndIsInTime() throws Exception {
    try (Collector collector = new Collector(Collector.Mood.NEVER_ANSWERS)) {
      RequestTracer tracer = tracer(collector.address(), Protocol.GRPC);
      long start = System.nanoTime();
      for (int i = 0; i < 20_000; i++) { // ten times what may wait
        request(tracer, caller("01"), 0);
      }
      close(tracer); // would be minutes if spans waited for their turn
      assertThat(System.nanoTime() - start).isLessThan(30 * SECOND);
      assertThat(sent).hasValue(0);
    }
  }
}
