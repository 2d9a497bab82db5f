package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code POST /update_models}: models go and come while others answer. The tests follow each other
 * on one server; costs its start and some seconds.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class UpdateModelsIT {
  private static final String MODEL = Path.of("../engine/src/main/resources/demo-model").toString();
  private static final List<String> FLAGS = List.of("--backend=cpu", "--threads=1");

  @TempDir private static Path directory;

  private static InProcessServer server;
  private static Client client;
  private static String undisturbed;

  private final HttpClient http = HttpClient.newHttpClient();

  @BeforeAll
  static void start() {
    List<String> flags = new ArrayList<>(FLAGS);
    flags.addAll(
        0,
        List.of(
            "-m",
            "vllm.entrypoints.model_cohost_server",
            "--model=" + MODEL + "," + MODEL,
            "--served-model-name=stays,goes",
            "--max-model-len=1024,512",
            "--admin-api-key=key"));
    server = InProcessServer.start(flags.toArray(String[]::new));
    client = new Client(server.baseUrl());
    undisturbed = text(complete("stays"));
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static Answer complete(String model) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("model", model);
    body.put("prompt", "A bird");
    body.put("seed", 5);
    body.put("max_tokens", 300);
    body.put("ignore_eos", true);
    return client.post("/v1/completions", body);
  }

  private static String text(Answer answer) {
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().at("/choices/0/text").asText();
  }

  private Answer update(String place, String key) throws Exception {
    String body = Client.JSON.writeValueAsString(Map.of("model_config_path", place));
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(server.baseUrl() + "/update_models"))
            .header("Authorization", "Bearer " + key)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    var response = http.send(request, BodyHandlers.ofString());
    return new Answer(response.statusCode(), response.body());
  }

  private static String file(String... entries) throws IOException {
    Path file = Files.createTempFile(directory, "models", ".yaml");
    Files.writeString(file, String.join("\n", entries));
    return file.toString();
  }

  private static String entry(String name, int length) {
    return "- Args: [python, -m, vllm.entrypoints.api_server, --model=%s, --served-model-name=%s, --max-model-len=%d, %s]"
        .formatted(MODEL, name, length, String.join(", ", FLAGS));
  }

  private static List<String> models() {
    List<String> ids = new ArrayList<>();
    for (JsonNode model : client.get("/v1/models").json().get("data")) {
      ids.add(model.get("id").asText() + model.get("max_model_len"));
    }
    return ids;
  }

  private static double running(String model) {
    return Scrape.of(server.baseUrl()).value("vllm:num_requests_running", "model_name", model);
  }

  @Test
  @Order(1)
  void update_models_oneStaysOneGoesOneComes() throws Exception {
    List<CompletableFuture<String>> running = new ArrayList<>();
    for (String model : List.of("stays", "goes")) {
      running.add(CompletableFuture.supplyAsync(() -> text(complete(model))));
    }
    ClusterFixture.await(() -> running("stays") == 1 && running("goes") == 1, "both run");
    Answer answer = update(file(entry("stays", 1024), entry("comes", 384)), "key");
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    assertThat(answer.json())
        .isEqualTo(
            Client.JSON.readTree(
                "{\"status\":\"success\",\"loaded\":[\"comes\"],\"kept\":[\"stays\"],\"unloaded\":[\"goes\"]}"));
    for (CompletableFuture<String> one : running) {
      assertThat(one.get(30, TimeUnit.SECONDS)).isEqualTo(undisturbed);
    }
    ClusterFixture.await(() -> models().contains("comes384"), "it is listed");
    assertThat(models()).containsExactly("stays1024", "comes384");
    assertThat(complete("goes").status()).isEqualTo(404);
    assertThat(text(complete("comes"))).isEqualTo(undisturbed);
    assertThat(server.server().metricsText()).doesNotContain("\"goes\"").contains("\"comes\"");
  }

  @Test
  @Order(2)
  void update_changedFlags_loadTheModelAnew() throws Exception {
    Answer answer = update(file(entry("stays", 1024), entry("comes", 320)), "key");
    assertThat(answer.json().get("unloaded")).isEqualTo(answer.json().get("loaded"));
    ClusterFixture.await(() -> models().contains("comes320"), "it is listed");
    assertThat(text(complete("comes"))).isEqualTo(undisturbed);
    assertThat(server.sum("vllm:num_requests_running")).isZero();
  }

  @Test
  @Order(3)
  void update_badFileOrModel_isRefusedAndTheOthersGoOn() throws Exception {
    assertThat(update(file("nothing"), "key").status()).isEqualTo(400);
    assertThat(update(directory.resolve("absent").toString(), "key").status()).isEqualTo(400);
    assertThat(update(file(entry("stays", 1024)), "other").status()).isEqualTo(401);
    assertThat(models()).hasSize(2);
    String broken = entry("stays", 1024) + "\n- Args: [serve, --model=/no/such/model]";
    Answer answer = update(file(broken), "key");
    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.body()).contains("/no/such/model");
    ClusterFixture.await(() -> models().equals(List.of("stays1024")), "what is left");
    assertThat(text(complete("stays"))).isEqualTo(undisturbed);
    assertThat(client.get("/health").status()).isEqualTo(200);
  }
}
