package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.opentelemetry.proto.trace.v1.Span;
import io.opentelemetry.proto.trace.v1.Status;
import io.verdier.verticles.launch.InProcessServer;
import io.verdier.verticles.observe.trace.Collector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Traces of a whole server, as a collector gets them: the server has ended before anything is
 * looked at, so what is there was sent on its way out. Costs the start of one server.
 */
class TracesIT {
  private static final String TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
  private static final String CALLER = "00f067aa0ba902b7";
  private static final String SECRET = "What is a car?";

  private static List<Span> spans;
  private static JsonNode chat;
  private static String page;

  @BeforeAll
  static void serve() throws Exception {
    try (Collector collector = new Collector(Collector.Mood.TAKES)) {
      try (InProcessServer server =
          InProcessServer.start(
              "--max-model-len=512",
              "--otlp-traces-endpoint=http://" + collector.address(),
              "--otlp-traces-protocol=http/protobuf",
              "--collect-detailed-traces=all")) {
        traffic(server.baseUrl());
        server.awaitIdle();
        page = server.server().metricsText();
      }
      collector.awaitSpans(3 + 3 + 6); // of the requests, the chat's phases and two choices'
      spans = collector.spans();
      assertThat(collector.resources().getFirst()).containsEntry("service.name", "verdier");
    }
  }

  private static void traffic(String baseUrl) throws Exception {
    HttpRequest traced =
        HttpRequest.newBuilder(URI.create(baseUrl + "/v1/chat/completions"))
            .header("Content-Type", "application/json")
            .header("traceparent", "00-" + TRACE + "-" + CALLER + "-01")
            .header("X-Request-Id", "mine")
            .POST(
                HttpRequest.BodyPublishers.ofString(
                    "{\"messages\":[{\"role\":\"user\",\"content\":\""
                        + SECRET
                        + "\"}],\"temperature\":0,\"top_p\":0.6,\"max_tokens\":8}"))
            .build();
    try (HttpClient http = HttpClient.newHttpClient()) {
      String answer = http.send(traced, HttpResponse.BodyHandlers.ofString()).body();
      chat = new Client.Answer(200, answer).json();
    }
    Client client = new Client(baseUrl);
    Map<String, Object> stopped =
        Map.of("prompt", "A car is", "n", 2, "seed", 1, "stop", List.of(" "), "stream", true);
    assertThat(client.post("/v1/completions", stopped).status()).isEqualTo(200);
    assertThat(client.post("/v1/completions", Map.of("prompt", "x ".repeat(2000))).status())
        .isEqualTo(400);
    assertThat(client.post("/v1/completions", Map.of("prompt", 1)).status()).isEqualTo(400);
    assertThat(client.post("/tokenize", Map.of("prompt", "x")).status()).isEqualTo(200);
  }

  private static List<Span> requests() {
    return spans.stream().filter(span -> span.getName().equals("llm_request")).toList();
  }

  private static Span traced() {
    return requests().stream()
        .filter(span -> hex(span.getTraceId().toByteArray()).equals(TRACE))
        .findFirst()
        .orElseThrow();
  }

  private static String hex(byte[] bytes) {
    return HexFormat.of().formatHex(bytes);
  }

  @Test
  void requests_workedOn_haveASpanEach() {
    assertThat(requests()).hasSize(3); // and none of what was refused before, or costs no step
    for (MetricFamilies.Row row : MetricFamilies.ofTraces()) {
      assertThat(page).contains("# TYPE " + row.name() + " " + row.type());
    }
  }

  @Test
  void chat_withCaller_isBelowItAndSaysWhatTheAnswerSaid() {
    Span span = traced();
    assertThat(hex(span.getParentSpanId().toByteArray())).isEqualTo(CALLER);
    assertThat(Collector.value(span, "gen_ai.request.id").getStringValue())
        .isEqualTo(chat.get("id").asText())
        .isEqualTo("chatcmpl-mine");
    assertThat(Collector.value(span, "gen_ai.response.model").getStringValue())
        .isEqualTo(chat.get("model").asText());
    assertThat(Collector.value(span, "gen_ai.usage.prompt_tokens").getIntValue())
        .isEqualTo(chat.at("/usage/prompt_tokens").asLong());
    assertThat(Collector.value(span, "gen_ai.usage.completion_tokens").getIntValue())
        .isEqualTo(chat.at("/usage/completion_tokens").asLong())
        .isEqualTo(8);
    assertThat(Collector.value(span, "gen_ai.request.max_tokens").getIntValue()).isEqualTo(8);
    assertThat(Collector.value(span, "gen_ai.request.top_p").getDoubleValue()).isEqualTo(0.6);
    double whole = Collector.value(span, "gen_ai.latency.e2e").getDoubleValue();
    double first = Collector.value(span, "gen_ai.latency.time_to_first_token").getDoubleValue();
    double queued = Collector.value(span, "gen_ai.latency.time_in_queue").getDoubleValue();
    double prefill = Collector.value(span, "gen_ai.latency.time_in_model_prefill").getDoubleValue();
    double decode = Collector.value(span, "gen_ai.latency.time_in_model_decode").getDoubleValue();
    double inference =
        Collector.value(span, "gen_ai.latency.time_in_model_inference").getDoubleValue();
    assertThat(List.of(queued, prefill, decode)).allMatch(seconds -> seconds >= 0);
    assertThat(inference).isCloseTo(prefill + decode, within(1e-6));
    assertThat(first).isBetween(queued + prefill, whole);
    assertThat(whole).isGreaterThan(inference);
    assertThat((span.getEndTimeUnixNano() - span.getStartTimeUnixNano()) / 1e9)
        .isCloseTo(whole, within(1e-6));
  }

  @Test
  void chat_detailed_itsPhasesFollowOneAnother() {
    Span request = traced();
    List<Span> phases =
        spans.stream().filter(span -> span.getParentSpanId().equals(request.getSpanId())).toList();
    assertThat(phases).extracting(Span::getName).containsExactly("queue", "prefill", "decode");
    assertThat(phases).allMatch(span -> span.getTraceId().equals(request.getTraceId()));
    assertThat(phases.get(0).getStartTimeUnixNano())
        .isGreaterThanOrEqualTo(request.getStartTimeUnixNano());
    assertThat(phases.get(1).getStartTimeUnixNano()).isEqualTo(phases.get(0).getEndTimeUnixNano());
    assertThat(phases.get(2).getStartTimeUnixNano()).isEqualTo(phases.get(1).getEndTimeUnixNano());
    assertThat(phases.get(2).getEndTimeUnixNano()).isEqualTo(request.getEndTimeUnixNano());
  }

  @Test
  void completion_twoChoicesStoppedByText_haveTimesToo() {
    Span span =
        requests().stream()
            .filter(it -> Collector.value(it, "gen_ai.request.n").getIntValue() == 2)
            .findFirst()
            .orElseThrow();
    assertThat(span.getParentSpanId().isEmpty()).isTrue();
    assertThat(Collector.value(span, "gen_ai.usage.num_sequences").getIntValue()).isEqualTo(2);
    assertThat(
            Collector.value(span, "gen_ai.response.finish_reasons")
                .getArrayValue()
                .getValuesCount())
        .isEqualTo(2);
    assertThat(Collector.has(span, "gen_ai.latency.time_in_model_prefill")).isTrue();
    assertThat(
            spans.stream()
                .filter(it -> it.getParentSpanId().equals(span.getSpanId()))
                .map(it -> Collector.value(it, "verdier.choice").getIntValue()))
        .containsExactlyInAnyOrder(0L, 0L, 0L, 1L, 1L, 1L);
  }

  @Test
  void refusedByTheTokenizer_isAFailedSpan() {
    Span span =
        requests().stream()
            .filter(it -> it.getStatus().getCode() == Status.StatusCode.STATUS_CODE_ERROR)
            .findFirst()
            .orElseThrow();
    assertThat(Collector.value(span, "error.type").getStringValue())
        .isEqualTo(span.getStatus().getMessage())
        .isNotEmpty();
    assertThat(Collector.has(span, "gen_ai.latency.time_in_queue")).isFalse();
  }

  @Test
  void spans_all_holdNothingOfWhatWasSaid() {
    String answer = chat.at("/choices/0/message/content").asText();
    assertThat(answer).isNotEmpty();
    assertThat(spans).noneMatch(span -> span.toString().contains(SECRET));
    assertThat(spans).noneMatch(span -> span.toString().contains(answer));
  }
}
