package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.TracingConfig.Protocol;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where traces go, as vLLM's flag and OpenTelemetry's variables say it. */
class TracingFlagsTest {

  @Test
  void nothing_given_noTracesAndNothingIsRefused() {
    TracingConfig tracing =
        Loading.config(
                Map.of(
                    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                    "http/json",
                    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                    "nonsense"))
            .tracing();
    assertThat(tracing.endpoint()).isEmpty();
    assertThat(tracing.detailed()).isFalse();
  }

  @ParameterizedTest
  @CsvSource({
    "grpc, grpc://collector:4317, http://collector:4317",
    "grpc, collector:4317, http://collector:4317",
    "grpc, grpcs://collector, https://collector",
    "grpc, http://[::1]:4317, http://[::1]:4317",
    "http/protobuf, http://collector:4318, http://collector:4318/v1/traces",
    "http/protobuf, http://collector:4318/, http://collector:4318/v1/traces",
    "http/protobuf, https://collector/a/b, https://collector/a/b"
  })
  void endpoint_anySpelling_isTheCollectors(String protocol, String given, String meant) {
    TracingConfig tracing =
        Loading.config("--otlp-traces-endpoint=" + given, "--otlp-traces-protocol=" + protocol)
            .tracing();
    assertThat(tracing.endpoint().orElseThrow()).hasToString(meant);
    assertThat(tracing.protocol())
        .isEqualTo(protocol.equals("grpc") ? Protocol.GRPC : Protocol.HTTP);
  }

  @Test
  void variables_ofOpenTelemetry_areRead() {
    TracingConfig tracing =
        Loading.config(
                Map.of(
                    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                    "http/protobuf",
                    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                    "authorization=Bearer%20a+b=, x-scope=1",
                    "OTEL_SERVICE_NAME",
                    "shop"),
                "--otlp-traces-endpoint=http://collector:4318",
                "--collect-detailed-traces=model,worker")
            .tracing();
    assertThat(tracing.headers()).isEqualTo(Map.of("authorization", "Bearer a+b=", "x-scope", "1"));
    assertThat(tracing.serviceName()).isEqualTo("shop");
    assertThat(tracing.detailed()).isTrue();
    assertThat(tracing.toString()).doesNotContain("Bearer");
  }

  @Test
  void mistakes_each_areSaid() {
    assertThat(Loading.problems("--otlp-traces-endpoint=ftp://collector"))
        .first()
        .asString()
        .contains("--otlp-traces-endpoint: not an address");
    assertThat(Loading.problems("--otlp-traces-endpoint=http://user:pass@collector"))
        .first()
        .asString()
        .contains("not an address")
        .doesNotContain("pass");
    String endpoint = "--otlp-traces-endpoint=collector:4317";
    assertThat(Loading.problems(endpoint, "--otlp-traces-protocol=http/json"))
        .first()
        .asString()
        .contains("'http/json' must be grpc or http/protobuf");
    assertThat(Loading.problems(endpoint, "--otlp-traces-headers=x"))
        .first()
        .asString()
        .contains("must be name=value pairs");
    assertThat(Loading.problems(endpoint, "--collect-detailed-traces=gpu"))
        .first()
        .asString()
        .contains("'gpu' must be one of model, worker, all");
    assertThat(Loading.loaded("--collect-detailed-traces=all").notices().toString())
        .contains("--collect-detailed-traces has no effect without --otlp-traces-endpoint");
  }
}
