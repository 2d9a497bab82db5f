package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Routes beside the chat before the demo model, with the default limits: SageMaker's entry, the
 * load, the end of requests by their ids, and as many prompts in a list as vLLM takes.
 */
class OperatorsIT {
  private static final String CHATS = "/v1/chat/completions";
  private static final List<Map<String, String>> QUESTION =
      List.of(Map.of("role", "user", "content", "What is a car?"));

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--enable-server-load-tracking", "--admin-api-key=admin");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static Map<String, Object> with(Map<String, ?> body, Map<String, ?> more) {
    Map<String, Object> all = new HashMap<>(body);
    all.putAll(more);
    return all;
  }

  private static String joined(List<JsonNode> events, String pointer) {
    return events.stream().map(event -> event.at(pointer).asText("")).collect(Collectors.joining());
  }

  @Test
  void invocations_ofAChatAndACompletion_areWhatTheirRoutesSay() {
    Map<String, Object> chat = Map.of("messages", QUESTION, "temperature", 0, "max_tokens", 40);
    Map<String, Object> text =
        Map.of("prompt", "The capital of France is", "temperature", 0, "max_tokens", 12);
    for (List<Object> each :
        List.<List<Object>>of(
            List.of(CHATS, chat, "/choices/0/message/content", "/choices/0/delta/content"),
            List.of("/v1/completions", text, "/choices/0/text", "/choices/0/text"))) {
      @SuppressWarnings("unchecked")
      Map<String, Object> body = (Map<String, Object>) each.get(1);
      JsonNode own = client.post((String) each.get(0), body).json();
      JsonNode answer = client.post("/invocations", body).json();
      assertThat(answer.get("object")).isEqualTo(own.get("object"));
      assertThat(answer.get("choices")).isEqualTo(own.get("choices"));
      assertThat(answer.get("usage")).isEqualTo(own.get("usage"));
      Client.Answer streamed = client.post("/invocations", with(body, Map.of("stream", true)));
      assertThat(streamed.header("Content-Type").orElse("")).startsWith("text/event-stream");
      assertThat(streamed.body()).endsWith("data: [DONE]\n\n");
      String whole = own.at((String) each.get(2)).asText();
      assertThat(whole).isNotBlank();
      assertThat(joined(Client.events(streamed), (String) each.get(3))).isEqualTo(whole);
    }
  }

  private static int load() {
    return client.get("/load").json().get("server_load").asInt();
  }

  /** Two requests of three answers run; the one whose id is named ends, the other does not. */
  @Test
  void abort_ofARunningStream_endsThatOneAndLoadCountsRequests() throws Exception {
    server.awaitIdle();
    assertThat(load()).isZero();
    try (Stream first = new Stream(3, 1500);
        Stream other = new Stream(1, 300)) {
      assertThat(load()).isEqualTo(2);
      String ids = "{\"request_ids\": [\"" + first.id() + "\", \"chatcmpl-gone\"]}";
      assertThat(client.post("/abort_requests", ids).status()).isEqualTo(401);
      assertThat(load()).isEqualTo(2);
      assertThat(client.post("/abort_requests", ids, "admin").status()).isEqualTo(200);
      assertThat(first.reasons()).containsExactly("abort", "abort", "abort");
      assertThat(other.reasons()).containsExactly("length");
    }
    server.awaitIdle();
    ClusterFixture.await(() -> load() == 0, "no request is left");
  }

  @Test
  void prompts_asManyAsVllmTakes_areAnsweredEach() {
    List<String> prompts = IntStream.range(0, 1024).mapToObj(i -> "The number " + i).toList();
    Map<String, Object> body = Map.of("prompt", prompts, "max_tokens", 1, "temperature", 0);
    Client.Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    JsonNode choices = answer.json().get("choices");
    assertThat(choices).hasSize(1024);
    for (int i : List.of(0, 511, 1023)) {
      assertThat(choices.get(i).get("index").asInt()).isEqualTo(i);
      JsonNode alone =
          client.post("/v1/completions", with(body, Map.of("prompt", prompts.get(i)))).json();
      assertThat(choices.get(i).get("text")).isEqualTo(alone.at("/choices/0/text"));
    }
    List<String> more = new ArrayList<>(prompts);
    more.add("one more");
    Client.Answer refused = client.post("/v1/completions", with(body, Map.of("prompt", more)));
    assertThat(refused.status()).isEqualTo(400);
    assertThat(refused.json().at("/error/param").asText()).isEqualTo("prompt");
    assertThat(refused.body()).contains("1024");
  }

  /** A streamed chat of which the first event is there. Owned by its test's thread. */
  private static final class Stream implements AutoCloseable {
    private final BufferedReader lines;
    private final JsonNode first;

    Stream(int choices, int tokens) throws Exception {
      Map<String, Object> body =
          Map.of(
              "messages",
              QUESTION,
              "n",
              choices,
              "max_tokens",
              tokens,
              "ignore_eos",
              true,
              "seed",
              1,
              "temperature",
              1,
              "stream",
              true);
      HttpRequest request =
          HttpRequest.newBuilder(URI.create(server.baseUrl() + CHATS))
              .header("Content-Type", "application/json")
              .POST(HttpRequest.BodyPublishers.ofString(Client.JSON.writeValueAsString(body)))
              .build();
      lines =
          new BufferedReader(
              new InputStreamReader(
                  HttpClient.newHttpClient()
                      .send(request, HttpResponse.BodyHandlers.ofInputStream())
                      .body(),
                  StandardCharsets.UTF_8));
      first = Client.JSON.readTree(lines.readLine().substring("data: ".length()));
    }

    String id() {
      return first.get("id").asText();
    }

    /** Why each answer ended, once all have. */
    List<String> reasons() {
      String rest = lines.lines().collect(Collectors.joining("\n"));
      assertThat(rest).contains("data: [DONE]");
      return Client.events(new Client.Answer(200, rest)).stream()
          .map(event -> event.at("/choices/0/finish_reason").asText(""))
          .filter(reason -> !reason.isEmpty() && !reason.equals("null"))
          .toList();
    }

    @Override
    public void close() {
      try {
        lines.close();
      } catch (IOException failed) {
        throw new UncheckedIOException(failed);
      }
    }
  }
}
