package io.verdier.verticles.observe.trace;

import com.google.protobuf.InvalidProtocolBufferException;
import io.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
import io.opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse;
import io.opentelemetry.proto.common.v1.AnyValue;
import io.opentelemetry.proto.common.v1.KeyValue;
import io.opentelemetry.proto.trace.v1.ResourceSpans;
import io.opentelemetry.proto.trace.v1.ScopeSpans;
import io.opentelemetry.proto.trace.v1.Span;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.http.HttpServerRequest;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

/**
 * Takes traces on the loopback interface, over HTTP and over gRPC on one port, and decodes them
 * with the classes that OpenTelemetry generates from its protocol's definition. Thread-safe.
 */
public final class Collector implements AutoCloseable {
  private static final String GRPC = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

  private final Vertx vertx = Vertx.vertx();
  private final HttpServer server;
  private final Mood mood;
  private final List<Span> spans = new CopyOnWriteArrayList<>();
  private final List<Map<String, String>> resources = new CopyOnWriteArrayList<>();
  private final List<String> authorizations = new CopyOnWriteArrayList<>();
  private final AtomicInteger calls = new AtomicInteger();

  /** What becomes of what it takes. */
  public enum Mood {
    TAKES,
    REFUSES,
    NEVER_ANSWERS
  }

  public Collector(Mood mood) {
    this.mood = mood;
    this.server =
        vertx
            .createHttpServer(new HttpServerOptions().setHost("127.0.0.1").setPort(0))
            .requestHandler(request -> request.bodyHandler(body -> onCall(request, body)));
    server
        .listen()
        .toCompletionStage()
        .toCompletableFuture()
        .orTimeout(10, TimeUnit.SECONDS)
        .join();
  }

  private void onCall(HttpServerRequest request, Buffer body) {
    calls.incrementAndGet();
    String authorization = request.getHeader("authorization");
    authorizations.add(authorization == null ? "" : authorization);
    boolean grpc = request.path().equals(GRPC);
    if (mood == Mood.NEVER_ANSWERS) {
      return;
    }
    if (mood == Mood.REFUSES) {
      if (grpc) {
        request.response().putHeader("content-type", "application/grpc");
        request.response().putHeader("grpc-status", "3").end();
      } else {
        request.response().setStatusCode(400).end();
      }
      return;
    }
    byte[] answer = ExportTraceServiceResponse.getDefaultInstance().toByteArray();
    if (grpc) {
      keep(body.getBytes(5, body.length()));
      request.response().putHeader("content-type", "application/grpc");
      request.response().putTrailer("grpc-status", "0");
      request.response().end(Buffer.buffer().appendByte((byte) 0).appendInt(0));
    } else if (request.path().equals("/v1/traces")
        && "application/x-protobuf".equals(request.getHeader("content-type"))) {
      keep(body.getBytes());
      request.response().putHeader("content-type", "application/x-protobuf");
      request.response().end(Buffer.buffer(answer));
    } else {
      request.response().setStatusCode(404).end();
    }
  }

  private void keep(byte[] message) {
    try {
      for (ResourceSpans from :
          ExportTraceServiceRequest.parseFrom(message).getResourceSpansList()) {
        resources.add(texts(from.getResource().getAttributesList()));
        for (ScopeSpans scope : from.getScopeSpansList()) {
          spans.addAll(scope.getSpansList());
        }
      }
    } catch (InvalidProtocolBufferException undecodable) {
      throw new AssertionError(undecodable);
    }
  }

  private static Map<String, String> texts(List<KeyValue> attributes) {
    return attributes.stream()
        .filter(attribute -> attribute.getValue().hasStringValue())
        .collect(Collectors.toMap(KeyValue::getKey, it -> it.getValue().getStringValue()));
  }

  /** Spans so far, in the order of their arrival. */
  public List<Span> spans() {
    return List.copyOf(spans);
  }

  /**
   * Waits for so many spans: a server that ends gives its last ones a moment only, and on a busy
   * machine they arrive behind its end.
   */
  public void awaitSpans(int count) {
    await(() -> spans.size() >= count, count + " spans");
  }

  /** Waits for what must come true. */
  static void await(BooleanSupplier condition, String what) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError(what + " did not come in 20 s");
      }
      LockSupport.parkNanos(1_000_000);
    }
  }

  /** Attributes of who sent them, for each message. */
  public List<Map<String, String>> resources() {
    return List.copyOf(resources);
  }

  /** Header of each call. */
  public List<String> authorizations() {
    return List.copyOf(authorizations);
  }

  public int calls() {
    return calls.get();
  }

  /** {@code host:port}. */
  public String address() {
    return "127.0.0.1:" + server.actualPort();
  }

  /** Whether a span has an attribute of that name. */
  public static boolean has(Span span, String name) {
    return span.getAttributesList().stream().anyMatch(it -> it.getKey().equals(name));
  }

  /** An attribute of a span, which it must have. */
  public static AnyValue value(Span span, String name) {
    return span.getAttributesList().stream()
        .filter(attribute -> attribute.getKey().equals(name))
        .map(KeyValue::getValue)
        .findFirst()
        .orElseThrow(() -> new AssertionError("no attribute " + name + " in " + span));
  }

  @Override
  public void close() {
    vertx.close().toCompletionStage().toCompletableFuture().orTimeout(10, TimeUnit.SECONDS).join();
  }
}
