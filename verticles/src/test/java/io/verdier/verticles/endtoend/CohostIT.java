package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Two models in one process, as a command line of Google's co-hosting server starts them. Costs the
 * start of one server.
 */
class CohostIT {
  private static final String MODEL = Path.of("../engine/src/main/resources/demo-model").toString();

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server =
        InProcessServer.start(
            "python",
            "-m",
            "vllm.entrypoints.model_cohost_server",
            "--model=" + MODEL + "," + MODEL,
            "--served-model-name=long,short",
            "--max-model-len=1024,256",
            "--model-replicas=1,2",
            "--backend=cpu",
            "--threads=1",
            "--enable-lora",
            "--allow-runtime-lora-updating",
            "--admin-api-key=key");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static Answer complete(String model, int tokens) {
    return client.post(
        "/v1/completions",
        Map.of("model", model, "prompt", "A bird", "temperature", 0, "max_tokens", tokens));
  }

  private static double tokens(String model) {
    return Scrape.of(server.baseUrl()).series("vllm:generation_tokens_total").stream()
        .filter(series -> model.equals(series.getLabels().get("model_name")))
        .mapToDouble(series -> ((org.hawkular.agent.prometheus.types.Counter) series).getValue())
        .sum();
  }

  @Test
  void models_areListedWithTheirLengths() {
    List<String> shown = new ArrayList<>();
    for (JsonNode model : client.get("/v1/models").json().get("data")) {
      shown.add(model.get("id").asText() + " " + model.get("max_model_len"));
    }
    assertThat(shown).startsWith("long 1024").contains("short 256");
  }

  @Test
  void requests_goToTheModelThatTheyName() {
    double[] before = {tokens("long"), tokens("short")};
    String text = complete("long", 8).json().at("/choices/0/text").asText();
    assertThat(tokens("long")).isEqualTo(before[0] + 8);
    assertThat(tokens("short")).isEqualTo(before[1]);
    for (int i = 0; i < 4; i++) {
      JsonNode answer = complete("short", 8).json();
      assertThat(answer.get("model").asText()).isEqualTo("short");
      assertThat(answer.at("/choices/0/text").asText()).isEqualTo(text);
    }
    assertThat(tokens("long")).isEqualTo(before[0] + 8);
    assertThat(tokens("short")).isEqualTo(before[1] + 32);
    assertThat(complete("", 8).json().get("model").asText()).isEqualTo("long");
    assertThat(complete("nobody", 8).status()).isEqualTo(404);
  }

  @Test
  void limits_areTheModelsOwn() {
    assertThat(complete("long", 300).status()).isEqualTo(200);
    Answer refused = complete("short", 300);
    assertThat(refused.status()).isEqualTo(400);
    assertThat(refused.body()).contains("256");
  }

  @Test
  void adapters_areTheModelsOwn() {
    String pirate = Path.of(MODEL, "lora", "pirate").toString();
    Answer loaded =
        client.post(
            "/v1/load_lora_adapter",
            Map.of("model", "short", "lora_name", "pirate", "lora_path", pirate),
            "key");
    assertThat(loaded.status()).as(loaded.body()).isEqualTo(200);
    JsonNode card = client.get("/v1/models/pirate").json();
    assertThat(card.get("parent").asText()).isEqualTo("short");
    double before = tokens("short");
    assertThat(complete("pirate", 8).json().get("model").asText()).isEqualTo("pirate");
    assertThat(tokens("short")).isGreaterThan(before);
    Answer gone = client.post("/v1/unload_lora_adapter", Map.of("lora_name", "pirate"), "key");
    assertThat(gone.status()).as(gone.body()).isEqualTo(200);
    assertThat(complete("pirate", 8).status()).isEqualTo(404);
  }

  @Test
  void constraints_ofBothModels_areCompiledForTheirVocabulary() {
    for (String model : List.of("long", "short")) {
      JsonNode answer =
          client
              .post(
                  "/v1/completions",
                  Map.of(
                      "model",
                      model,
                      "prompt",
                      "A bird",
                      "structured_outputs",
                      Map.of("choice", List.of("yes", "no"))))
              .json();
      assertThat(answer.at("/choices/0/text").asText()).isIn("yes", "no");
    }
  }

  /** Blocks belong to a configuration's every letter, so a copy with another is another model. */
  @Test
  void prefixesOnTheDisk_areDividedAmongTheModels(@TempDir Path temp) throws IOException {
    Path copy = Files.createDirectory(temp.resolve("copy"));
    try (var files = Files.list(Path.of(MODEL))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, copy.resolve(String.valueOf(file.getFileName())));
      }
    }
    Files.writeString(copy.resolve("config.json"), "\n", StandardOpenOption.APPEND);
    Path prefixes = temp.resolve("prefixes");
    try (InProcessServer two =
        InProcessServer.start(
            "python",
            "-m",
            "vllm.entrypoints.model_cohost_server",
            "--model=" + MODEL + "," + copy,
            "--served-model-name=one,other",
            "--max-model-len=256",
            "--backend=cpu",
            "--threads=1",
            "--kv-offloading-size=0.01",
            "--prefix-cache-dir=" + prefixes,
            "--prefix-cache-size=64M")) {
      List<String> promised = new ArrayList<>();
      try (var directories = Files.list(prefixes)) {
        for (Path directory : directories.toList()) {
          promised.add(Files.readString(directory.resolve("promise")));
        }
      }
      String half = Integer.toString(32 << 20);
      assertThat(promised).as(two.baseUrl()).containsExactly(half, half);
    }
  }

  @Test
  void metrics_tellModelsAndEnginesApart() {
    Set<String> labels = new TreeSet<>();
    for (var series : Scrape.of(server.baseUrl()).series("vllm:num_requests_running")) {
      labels.add(series.getLabels().get("model_name") + " " + series.getLabels().get("engine"));
    }
    assertThat(labels).containsExactly("long 0", "short 0", "short 1");
  }
}
