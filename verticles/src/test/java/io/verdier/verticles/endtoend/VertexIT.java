package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.hawkular.agent.prometheus.types.MetricType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * A server as Vertex AI starts it, and what reaches it there: the four shapes of bodies, streams
 * byte by byte, bodies of the size that dedicated endpoints allow, and the two metrics that Vertex
 * can scale on. Costs the start of one server and about two seconds.
 */
class VertexIT {
  private static final String PREDICT = "/v1/endpoints/123/deployedModels/456:predict";
  private static final String HEALTH = "/v1/endpoints/123/deployedModels/456";
  private static final String PROMPT = "The capital of France is";
  private static final List<Map<String, String>> QUESTION =
      List.of(Map.of("role", "user", "content", "What is a car?"));
  private static final int DEDICATED_BYTES_MAX = 10 << 20;

  /** Of {@code --max-body-bytes}. */
  private static final int DEFAULT_BYTES_MAX = 32 << 20;

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server =
        InProcessServer.start(
            "--aip-mode=PREDICTION",
            "--aip-predict-route=" + PREDICT,
            "--aip-health-route=" + HEALTH,
            "--max-num-seqs=4",
            "--disable-log-stats");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static JsonNode predict(Map<String, ?> body) {
    Client.Answer answer = client.post(PREDICT, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  /** What the route of OpenAI's API says to the same. */
  private static JsonNode completion(String prompt, int maxTokens) {
    return client
        .post(
            "/v1/completions",
            Map.of("prompt", prompt, "max_tokens", maxTokens, "temperature", 0, "logprobs", 0))
        .json();
  }

  private static String text(JsonNode completion) {
    return completion.at("/choices/0/text").asText();
  }

  @Test
  void health_everyRoute_is200() {
    for (String path : List.of(HEALTH, "/health", "/ping")) {
      assertThat(client.get(path).status()).as(path).isEqualTo(200);
    }
    assertThat(client.get("/nothing").status()).isEqualTo(404);
    assertThat(Scrape.of(server.baseUrl()).series("http_requests_total"))
        .noneMatch(metric -> HEALTH.equals(metric.getLabels().get("handler")));
  }

  @Test
  void shapeA_instancesAndParameters_areAnsweredInOrder() {
    Map<String, Object> body =
        Map.of(
            "instances",
            List.of(
                Map.of("prompt", " " + PROMPT + "\n", "model", ""),
                Map.of("prompt", "A car is", "max_tokens", 3),
                Map.of("prompt", PROMPT, "raw_response", true)),
            "parameters",
            Map.of("max_tokens", 9, "temperature", 0));
    JsonNode predictions = predict(body).get("predictions");
    assertThat(predictions).hasSize(3);
    assertThat(predictions.get(0).asText()).startsWith("Prompt:\n" + PROMPT + "\nOutput:\n");
    assertThat(predictions.get(1).asText().split("Output:\n")[1])
        .isEqualTo(text(completion("A car is", 3)));
    assertThat(predictions.get(2).asText()).isEqualTo(text(completion(PROMPT, 9)));
    assertThat(client.post("/generate", body).json().get("predictions")).isEqualTo(predictions);
  }

  @Test
  void shapeB_raw_countsAndLogprobsAreThoseOfTheCompletion() {
    JsonNode answer =
        predict(Map.of("prompt", PROMPT, "max_tokens", 7, "temperature", 0, "raw_response", true));
    JsonNode completion = completion(PROMPT, 7);
    double sum = 0;
    for (JsonNode logprob : completion.at("/choices/0/logprobs/token_logprobs")) {
      sum += logprob.asDouble();
    }
    assertThat(answer.at("/predictions/0").asText()).isEqualTo(text(completion));
    assertThat(answer.at("/output_token_counts/0").asInt())
        .isEqualTo(completion.at("/usage/completion_tokens").asInt());
    assertThat(answer.at("/cumulative_logprobs/0").asDouble()).isCloseTo(sum, within(1e-4));
  }

  @Test
  void shapeC_withoutModel_isTheChatItself() {
    JsonNode expected =
        client
            .post("/v1/chat/completions", Map.of("messages", QUESTION, "temperature", 0))
            .json()
            .at("/choices/0/message/content");
    for (String model : new String[] {"", null}) {
      Map<String, Object> body = new java.util.HashMap<>();
      body.put("@requestFormat", "chatCompletions");
      body.put("messages", QUESTION);
      body.put("temperature", 0);
      body.put("model", model);
      JsonNode answer = predict(body);
      assertThat(answer.get("object").asText()).isEqualTo("chat.completion");
      assertThat(answer.at("/choices/0/message/content")).isEqualTo(expected);
    }
  }

  @Test
  void shapeC_streamed_isEventsWithUsageAtTheEnd() throws IOException {
    Stream stream =
        Stream.of(
            "{\"@requestFormat\":\"chatCompletions\",\"messages\":[{\"role\":\"user\",\"content\":"
                + "\"What is a car?\"}],\"temperature\":0,\"stream\":true,"
                + "\"stream_options\":{\"include_usage\":true}}");
    assertThat(stream.head()).containsIgnoringCase("content-type: text/event-stream");
    assertThat(stream.text()).endsWith("data: [DONE]\n\n");
    List<JsonNode> events = Client.events(new Client.Answer(200, stream.text()));
    StringBuilder said = new StringBuilder();
    events.forEach(event -> said.append(event.at("/choices/0/delta/content").asText("")));
    assertThat(said.toString()).startsWith("A car, or a motor car, is");
    assertThat(events.getLast().get("choices")).isEmpty();
    assertThat(events.getLast().at("/usage/completion_tokens").asInt()).isPositive();
  }

  @Test
  void shapeD_oneAndTwo_areTheObjectAndAList() {
    Map<String, Object> instance =
        Map.of("@requestFormat", "chatCompletions", "messages", QUESTION, "temperature", 0);
    JsonNode one = predict(Map.of("instances", List.of(instance))).get("predictions");
    assertThat(one.get("choices").get(0).get("message").get("content").asText())
        .startsWith("A car, or a motor car, is");
    JsonNode two = predict(Map.of("instances", List.of(instance, instance))).get("predictions");
    assertThat(two).hasSize(2);
    assertThat(two.get(1).at("/choices/0/message/content"))
        .isEqualTo(one.at("/choices/0/message/content"));
  }

  @Test
  void streamedText_everyChunk_isWholeDocumentsThatEndWithNul() throws IOException {
    Stream stream =
        Stream.of(
            "{\"prompt\":\""
                + PROMPT
                + "\",\"max_tokens\":12,\"temperature\":0,\"stream\":true,\"raw_response\":true}");
    assertThat(stream.head())
        .containsIgnoringCase("content-type: application/octet-stream")
        .containsIgnoringCase("transfer-encoding: chunked");
    assertThat(stream.chunks()).hasSizeGreaterThan(3).allMatch(chunk -> chunk.endsWith("\0"));
    StringBuilder said = new StringBuilder();
    int tokens = 0;
    double logprobs = 0;
    for (String document : stream.text().split("\0")) {
      JsonNode json = new Client.Answer(200, document).json();
      assertThat(json.get("predictions")).hasSize(1);
      said.append(json.at("/predictions/0").asText());
      tokens += json.at("/output_token_counts/0").asInt();
      logprobs = json.at("/cumulative_logprobs/0").asDouble();
    }
    JsonNode completion = completion(PROMPT, 12);
    assertThat(said.toString()).isEqualTo(text(completion));
    assertThat(tokens).isEqualTo(completion.at("/usage/completion_tokens").asInt());
    assertThat(logprobs).isNegative();
  }

  /**
   * An entry for each answer of each instance, in one order from the first document to the last.
   */
  @Test
  void streamedText_ofSeveralInstancesAndAnswers_addsUpToTheWhole() throws IOException {
    Map<String, Object> body =
        Map.of(
            "instances",
            List.of(
                Map.of("prompt", PROMPT, "n", 2),
                Map.of("prompt", "A car is", "max_tokens", 3),
                Map.of("prompt", "Once upon a time", "n", 3, "seed", 6)),
            "parameters",
            Map.of("max_tokens", 12, "temperature", 2, "seed", 5, "raw_response", true));
    JsonNode whole = predict(body);
    Map<String, Object> streaming = new java.util.HashMap<>(body);
    Map<String, Object> parameters = new java.util.HashMap<>();
    ((Map<?, ?>) body.get("parameters"))
        .forEach((name, value) -> parameters.put((String) name, value));
    parameters.put("stream", true);
    streaming.put("parameters", parameters);
    Stream stream = Stream.of(Client.JSON.writeValueAsString(streaming));
    assertThat(stream.chunks()).hasSizeGreaterThan(1).allMatch(chunk -> chunk.endsWith("\0"));
    List<StringBuilder> said = new ArrayList<>();
    int[] tokens = new int[6];
    for (int i = 0; i < 6; i++) {
      said.add(new StringBuilder());
    }
    for (String document : stream.text().split("\0")) {
      JsonNode json = new Client.Answer(200, document).json();
      assertThat(json.get("predictions")).hasSize(6);
      for (int i = 0; i < 6; i++) {
        said.get(i).append(json.get("predictions").get(i).asText());
        tokens[i] += json.get("output_token_counts").get(i).asInt();
      }
    }
    assertThat(whole.get("predictions")).hasSize(6);
    for (int i = 0; i < 6; i++) {
      assertThat(said.get(i).toString()).isEqualTo(whole.get("predictions").get(i).asText());
      assertThat(tokens[i]).isEqualTo(whole.get("output_token_counts").get(i).asInt());
    }
    assertThat(said.get(3).toString()).isNotEqualTo(said.get(4).toString());
  }

  @Test
  void body_ofTenMegabytes_isTakenAndLargerThanTheFlagIsNot() throws IOException {
    String filler = "x".repeat(DEDICATED_BYTES_MAX - 200);
    Map<String, Object> body = Map.of("prompt", PROMPT, "max_tokens", 2, "filler", filler);
    assertThat(client.post(PREDICT, body).status()).isEqualTo(200);
    URI uri = URI.create(server.baseUrl());
    try (Socket socket = new Socket(uri.getHost(), uri.getPort())) {
      socket.setSoTimeout(30_000);
      String head =
          "POST "
              + PREDICT
              + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
              + (DEFAULT_BYTES_MAX + 1)
              + "\r\n\r\n";
      socket.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
      assertThat(Stream.line(new DataInputStream(socket.getInputStream())))
          .startsWith("HTTP/1.1 413 ");
    }
  }

  /** Vertex AI's names: vertex_vllm_num_requests_waiting and vertex_vllm_gpu_cache_usage_perc. */
  @Test
  void autoscaling_underLoad_bothMetricsRiseAndFall() throws Exception {
    Map<String, Object> body =
        Map.of("prompt", "A car is", "n", 8, "max_tokens", 300, "ignore_eos", true, "seed", 1);
    double waiting = 0;
    double used = 0;
    try (ExecutorService threads = Executors.newSingleThreadExecutor()) {
      Future<JsonNode> answer = threads.submit(() -> predict(body));
      while (!answer.isDone()) {
        Scrape page = Scrape.of(server.baseUrl());
        waiting = Math.max(waiting, page.value("vllm:num_requests_waiting"));
        used = Math.max(used, page.value("vllm:gpu_cache_usage_perc"));
        assertThat(page.value("vllm:num_requests_running")).isLessThanOrEqualTo(4);
      }
      assertThat(answer.get().get("predictions")).hasSize(8);
    }
    assertThat(waiting).isEqualTo(4); // of 8, 4 run
    assertThat(used).isBetween(1e-6, 1.0);
    server.awaitIdle();
    Scrape page = Scrape.of(server.baseUrl());
    for (String name : List.of("vllm:num_requests_waiting", "vllm:gpu_cache_usage_perc")) {
      assertThat(page.series(name)).as(name).hasSize(1); // or Vertex would add them up
      assertThat(page.families().get(name).getType()).isEqualTo(MetricType.GAUGE);
      assertThat(page.value(name)).as(name).isZero();
    }
  }

  /**
   * A streamed answer as it comes out of the socket.
   *
   * @param chunks of HTTP's chunked coding
   */
  private record Stream(String head, List<String> chunks) {

    static Stream of(String body) throws IOException {
      URI uri = URI.create(server.baseUrl());
      try (Socket socket = new Socket(uri.getHost(), uri.getPort())) {
        socket.setSoTimeout(30_000);
        OutputStream out = socket.getOutputStream();
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        out.write(
            ("POST "
                    + PREDICT
                    + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                    + bytes.length
                    + "\r\n\r\n")
                .getBytes(StandardCharsets.US_ASCII));
        out.write(bytes);
        out.flush();
        return read(new DataInputStream(socket.getInputStream()));
      }
    }

    private static Stream read(DataInputStream in) throws IOException {
      StringBuilder head = new StringBuilder();
      for (String line = line(in); !line.isEmpty(); line = line(in)) {
        head.append(line).append('\n');
      }
      List<String> chunks = new ArrayList<>();
      for (int size = size(in); size > 0; size = size(in)) {
        byte[] chunk = new byte[size];
        in.readFully(chunk);
        chunks.add(new String(chunk, StandardCharsets.UTF_8));
        line(in);
      }
      return new Stream(head.toString(), chunks);
    }

    private static int size(DataInputStream in) throws IOException {
      return Integer.parseInt(line(in), 16);
    }

    private static String line(DataInputStream in) throws IOException {
      ByteArrayOutputStream line = new ByteArrayOutputStream();
      for (int b = in.readUnsignedByte(); b != '\n'; b = in.readUnsignedByte()) {
        line.write(b);
      }
      byte[] bytes = line.toByteArray();
      return new String(
          Arrays.copyOf(bytes, Math.max(0, bytes.length - 1)), StandardCharsets.US_ASCII);
    }

    String text() {
      return String.join("", chunks);
    }
  }
}
