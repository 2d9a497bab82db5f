package io.verdier.verticles.observe.trace;

import io.opentelemetry.common.ComponentLoader;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.export.GrpcSenderProvider;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import io.verdier.conf.TracingConfig;
import io.vertx.core.Vertx;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Opens OpenTelemetry's exporters. Over HTTP they send with the JDK's client; gRPC, which that
 * client cannot speak, goes through Vert.x's ({@link VertxGrpcSender}), so that neither OkHttp with
 * its Kotlin library nor gRPC's own stack is needed for it.
 */
final class Exporters {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);
  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);

  /** Kept, or the level set on it would be forgotten with it. */
  private static final Logger THEIR_LOG = Logger.getLogger("io.opentelemetry");

  private Exporters() {}

  /**
   * @param config with an endpoint
   */
  static SpanExporter open(Vertx vertx, TracingConfig config) {
    THEIR_LOG.setLevel(Level.OFF); // CountingExporter says it in our log, and less often
    URI endpoint = config.endpoint().orElseThrow();
    return switch (config.protocol()) {
      case HTTP ->
          OtlpHttpSpanExporter.builder()
              .setEndpoint(endpoint.toString())
              .setTimeout(TIMEOUT)
              .setConnectTimeout(CONNECT_TIMEOUT)
              .setHeaders(config::headers)
              .build();
      case GRPC ->
          OtlpGrpcSpanExporter.builder()
              .setEndpoint(endpoint.getScheme() + "://" + endpoint.getAuthority())
              .setTimeout(TIMEOUT)
              .setConnectTimeout(CONNECT_TIMEOUT)
              .setHeaders(config::headers)
              .setComponentLoader(new OnlyVertx(vertx))
              .build();
    };
  }

  /** Finds one thing only: who sends gRPC. */
  private record OnlyVertx(Vertx vertx) implements ComponentLoader {
    @Override
    public <T> Iterable<T> load(Class<T> type) {
      GrpcSenderProvider provider = config -> new VertxGrpcSender(vertx, config);
      return type.isInstance(provider) ? List.of(type.cast(provider)) : List.of();
    }
  }
}
