package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.schedule.StepOutput;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Headers that say something of a request, or ask for something beside its answer. */
class HeadersTest {
  private static final Map<String, String> BODIES =
      Map.of(
          "/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]",
          "/v1/completions", "\"prompt\":\"Hi\"",
          "/v1/responses", "\"input\":\"Hi\"");

  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server = HttpFixture.start(options -> options.policy = ServerConfig.Policy.PRIORITY);
    server.metrics.engine(0).onStep(new StepOutput.Stats(3, 5, 2, 25, 100, 7, 4, 64, 32));
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static HttpResponse<String> post(String path, String more, String... headers)
      throws Exception {
    return server.post(path, "{" + BODIES.get(path) + more + "}", headers);
  }

  @Test
  void priority_ofTheHeader_wins() throws Exception {
    for (String path : BODIES.keySet()) {
      server.engine.submitted.clear();
      assertThat(post(path, ",\"priority\":7", "X-Vllm-Priority", "-10").statusCode())
          .isEqualTo(200);
      assertThat(server.engine.awaitSubmit().priority()).as(path).isEqualTo(-10);
      assertThat(post(path, ",\"priority\":7").statusCode()).isEqualTo(200);
      assertThat(server.engine.awaitSubmit().priority()).as(path).isEqualTo(7);
      for (String wrong : List.of("x", "1.5", "99999999999", "9999999999", "")) {
        HttpResponse<String> refused = post(path, "", "X-Vllm-Priority", wrong);
        assertThat(refused.statusCode()).as(path + wrong).isEqualTo(400);
        assertThat(refused.body().toLowerCase(Locale.ROOT)).contains("priority");
      }
    }
  }

  @Test
  void load_askedFor_isTold() throws Exception {
    for (String path : List.of("/v1/chat/completions", "/v1/completions")) {
      assertThat(load(post(path, "", "endpoint-load-metrics-format", "TEXT")))
          .isEqualTo(
              "TEXT named_metrics.kv_cache_usage_perc=0.25,"
                  + " named_metrics.num_requests_waiting=5.0");
      String json = load(post(path, "", "endpoint-load-metrics-format", "json"));
      assertThat(json).startsWith("JSON ");
      JsonNode report = new ObjectMapper().readTree(json.substring("JSON ".length()));
      assertThat(report.at("/named_metrics/kv_cache_usage_perc").asDouble()).isEqualTo(0.25);
      assertThat(report.at("/named_metrics/num_requests_waiting").asDouble()).isEqualTo(5);
      assertThat(load(post(path, ""))).isEmpty();
      assertThat(load(post(path, "", "endpoint-load-metrics-format", "BIN"))).isEmpty();
      assertThat(load(post(path, ",\"stream\":true", "endpoint-load-metrics-format", "TEXT")))
          .isEmpty();
      assertThat(load(post(path, ",\"n\":0", "endpoint-load-metrics-format", "TEXT"))).isEmpty();
    }
  }

  private static String load(HttpResponse<String> response) {
    return response.headers().firstValue("endpoint-load-metrics").orElse("");
  }
}
