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
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Adapters through the whole server: each answers as the float64 reference says, alone and while
 * the others and the base model answer, with a slot for each and with one for all, cached or not.
 */
@Tag("java-kernels")
class LoraServingIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden");
  private static final Path ADAPTERS = Path.of("../engine/src/main/resources/demo-model/lora");
  private static final List<String> NAMES = List.of("", "pirate", "french", "corsair");

  /** Where the reference was less sure, bfloat16 may choose otherwise; as in NativeModelTest. */
  private static final double NATIVE_MARGIN = 0.3;

  /** Two names of one adapter, both ways of naming. */
  private static List<String> flags(String... more) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--backend=cpu",
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
    List<String> flags = flags(more);
    flags.add("--cpu-kernels=java");
    return InProcessServer.start(flags.toArray(String[]::new));
  }

  /** The C kernels of this processor: mixed they answer as alone, and as the reference does. */
  @Test
  void completions_ofAllAdaptersAtOnceInC_areGoldenAndAsAlone() throws Exception {
    try (InProcessServer server =
        InProcessServer.start(flags("--max-loras=3").toArray(String[]::new))) {
      Client client = new Client(server.baseUrl());
      JsonNode prompts = read("logits.json");
      List<List<Integer>> mixed = mixed(client, prompts);
      int compared = 0;
      for (int i = 0; i < mixed.size(); i++) {
        String name = NAMES.get(i % NAMES.size());
        JsonNode golden = read(file(name)).get(i / NAMES.size()).get("greedy");
        int sure = sure(golden.get("margins"));
        compared += sure;
        assertThat(mixed.get(i).subList(0, sure))
            .as(name + " " + i / NAMES.size())
            .isEqualTo(ints(golden.get("ids")).subList(0, sure));
        JsonNode prompt = prompts.get(i / NAMES.size()).get("ids");
        assertThat(tokens(client, prompt, name)).isEqualTo(mixed.get(i));
      }
      assertThat(compared).isGreaterThan(mixed.size() * 15);
    }
  }

  private static int sure(JsonNode margins) {
    int sure = 0;
    while (sure < margins.size() && margins.get(sure).asDouble() > NATIVE_MARGIN) {
      sure++;
    }
    return sure;
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
    JsonNode prompts = read("logits.json");
    List<List<Integer>> answers = mixed(new Client(server.baseUrl()), prompts);
    for (int i = 0; i < answers.size(); i++) {
      String name = NAMES.get(i % NAMES.size());
      assertThat(answers.get(i))
          .as(name + " " + i / NAMES.size())
          .isEqualTo(ints(read(file(name)).get(i / NAMES.size()).at("/greedy/ids")));
    }
  }

  /** Answers to all prompts with all names, asked at once; prompt by prompt. */
  private static List<List<Integer>> mixed(Client client, JsonNode prompts) throws Exception {
    List<Future<List<Integer>>> answers = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(12)) {
      for (JsonNode prompt : prompts) {
        for (String name : NAMES) {
          answers.add(threads.submit(() -> tokens(client, prompt.get("ids"), name)));
        }
      }
    }
    List<List<Integer>> tokens = new ArrayList<>();
    for (Future<List<Integer>> answer : answers) {
      tokens.add(answer.get());
    }
    return tokens;
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
