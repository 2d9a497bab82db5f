package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/**
 * Adapters through the whole server: each answers as the float64 reference says, alone and while
 * the others and the base model answer, with a slot for each and with one for all, cached or not.
 */
class LoraServingIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden");
  private static final Path ADAPTERS = Path.of("../engine/src/main/resources/demo-model/lora");
  private static final List<String> NAMES = List.of("", "pirate", "french", "corsair");

  /** Two names of one adapter, both ways of naming. */
  private static List<String> flags(String... more) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--backend=cpu",
                "--cpu-kernels=java",
                "--enable-lora",
                "--lora-modules",
                "pirate=" + ADAPTERS.resolve("pirate"),
                "french=" + ADAPTERS.resolve("french"),
                "{\"name\":\"corsair\",\"path\":\"%s\",\"base_model_name\":\"ship\"}"
                    .formatted(ADAPTERS.resolve("pirate"))));
    flags.addAll(List.of(more));
    return flags;
  }

  private static InProcessServer start(String... more) {
    return InProcessServer.start(flags(more).toArray(String[]::new));
  }

  @Test
  void completions_ofAllAdaptersAtOnce_areGolden() throws Exception {
    try (InProcessServer server = start("--max-loras=2")) {
      checkBatch(server);
      checkBatch(server); // now from the prefix cache
      assertThat(server.metric("vllm:prefix_cache_hits_total")).isPositive();
    }
  }

  @Test
  void completions_throughOneSlot_areGolden() throws Exception {
    try (InProcessServer server = start("--max-loras=1", "--long-prefill-token-threshold=9")) {
      checkBatch(server);
    }
  }

  @Test
  void models_list_adaptersWithTheirParents() {
    try (InProcessServer server = start()) {
      Client client = new Client(server.baseUrl());
      JsonNode data = client.get("/v1/models").json().get("data");
      List<String> shown = new ArrayList<>();
      data.forEach(it -> shown.add(it.get("id").asText() + " of " + it.get("parent").asText()));
      assertThat(shown)
          .containsExactly(
              "verdier-demo of null",
              "pirate of verdier-demo",
              "french of verdier-demo",
              "corsair of ship");
      assertThat(client.get("/v1/models/french").json().get("root").asText())
          .isEqualTo(ADAPTERS.resolve("french").toString());
      JsonNode chat =
          client
              .post(
                  "/v1/chat/completions",
                  Map.of(
                      "model",
                      "french",
                      "temperature",
                      0,
                      "messages",
                      List.of(Map.of("role", "user", "content", "What is a car?"))))
              .json();
      assertThat(chat.get("model").asText()).isEqualTo("french");
      assertThat(chat.at("/choices/0/message/content").asText()).startsWith("Une voiture est un");
      assertThat(client.post("/v1/completions", Map.of("model", "dutch", "prompt", "x")).status())
          .isEqualTo(404);
      assertThat(client.post("/tokenize", Map.of("model", "pirate", "prompt", "x")).status())
          .isEqualTo(200);
    }
  }

  @Test
  void start_badAdapter_isRefusedByName() {
    assertThatThrownBy(() -> start("--max-lora-rank=4"))
        .hasStackTraceContaining(
            "--lora-modules pirate: LoRA rank 8 is greater than max_lora_rank 4. Start with"
                + " --max-lora-rank 8");
    assertThatThrownBy(() -> start("--served-model-name=french"))
        .hasStackTraceContaining("--lora-modules french: The name 'french' is the model's own.");
  }

  private static void checkBatch(InProcessServer server) throws Exception {
    Client client = new Client(server.baseUrl());
    JsonNode prompts = read("logits.json");
    try (ExecutorService threads = Executors.newFixedThreadPool(12)) {
      List<Future<List<Integer>>> answers = new ArrayList<>();
      List<List<Integer>> expected = new ArrayList<>();
      for (int i = 0; i < prompts.size(); i++) {
        for (String name : NAMES) {
          JsonNode prompt = prompts.get(i).get("ids");
          answers.add(threads.submit(() -> tokens(client, prompt, name)));
          expected.add(ints(read(file(name)).get(i).at("/greedy/ids")));
        }
      }
      for (int i = 0; i < answers.size(); i++) {
        assertThat(answers.get(i).get())
            .as(NAMES.get(i % NAMES.size()) + " " + i / NAMES.size())
            .isEqualTo(expected.get(i));
      }
    }
  }

  private static String file(String name) {
    return switch (name) {
      case "" -> "logits.json";
      case "corsair" -> "logits-lora-pirate.json";
      default -> "logits-lora-" + name + ".json";
    };
  }

  private static List<Integer> tokens(Client client, JsonNode prompt, String model) {
    JsonNode answer =
        client
            .post(
                "/v1/completions",
                Map.of(
                    "model",
                    model,
                    "prompt",
                    prompt,
                    "max_tokens",
                    64,
                    "temperature",
                    0,
                    "return_token_ids",
                    true))
            .json();
    return ints(answer.at("/choices/0/token_ids"));
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(it -> values.add(it.asInt()));
    return values;
  }

  private static JsonNode read(String file) throws IOException {
    return Client.JSON.readTree(GOLDEN.resolve(file).toFile()).get("cases");
  }
}
