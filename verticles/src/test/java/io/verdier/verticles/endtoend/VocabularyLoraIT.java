package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.weights.StoredTensor;
import io.verdier.engine.weights.TensorFile;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Adapters of the embedding and the output matrix through the whole server. The one that is served
 * here gives a token another number: where the model reads and says {@link #OLD}, it reads and says
 * {@link #NEW}. So the answer to a prompt with the new number is the float64 reference's, with the
 * new number. One server for all.
 */
@Tag("java-kernels")
class VocabularyLoraIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden/logits.json");
  private static final Path MODEL = Path.of("../engine/src/main/resources/demo-model");
  private static final int CASE = 5; // its greedy choices are all wide
  private static final int VOCAB = 4096;
  private static final int HIDDEN = 256;
  private static final int OLD = 613; // in the prompt and in the answer
  private static final int NEW = 3000; // in neither
  private static final String CONFIG =
      "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":2,\"target_modules\":[\"embed_tokens\",\"lm_head\"]}";
  @TempDir static Path directory;
  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() throws IOException {
    write("renumbered", VOCAB);
    write("longer", VOCAB + 8);
    server =
        InProcessServer.start(
            "--backend=cpu",
            "--cpu-kernels=java",
            "--enable-lora",
            "--max-loras=2",
            "--allow-runtime-lora-updating");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  /** What is read as the old token: its row and less the new one's. What is said: both swapped. */
  private static void write(String name, int vocab) throws IOException {
    float[] embeddingA = new float[2 * vocab];
    float[] embeddingB = new float[HIDDEN * 2];
    float[] headA = new float[2 * HIDDEN];
    float[] headB = new float[vocab * 2];
    try (TensorFile file = new TensorFile(MODEL.resolve("model.safetensors"))) {
      StoredTensor table =
          Objects.requireNonNull(file.tensors().get("model.embed_tokens.weight"), "the embedding");
      float[] oldRow = table.rows(OLD, 1).floats();
      float[] newRow = table.rows(NEW, 1).floats();
      for (int i = 0; i < HIDDEN; i++) {
        embeddingB[2 * i] = oldRow[i];
        embeddingB[2 * i + 1] = -newRow[i];
        headA[i] = oldRow[i];
        headA[HIDDEN + i] = newRow[i];
      }
    }
    embeddingA[NEW] = 1;
    embeddingA[vocab + NEW] = 1;
    headB[2 * NEW] = 1;
    headB[2 * NEW + 1] = -1;
    headB[2 * OLD] = -1;
    headB[2 * OLD + 1] = 1;
    AdapterCloud.Tensors tensors = new AdapterCloud.Tensors();
    tensors.add("base_model.model.model.embed_tokens.lora_embedding_A", embeddingA, 2, vocab);
    tensors.add("base_model.model.model.embed_tokens.lora_embedding_B", embeddingB, HIDDEN, 2);
    tensors.add("base_model.model.lm_head.lora_A.weight", headA, 2, HIDDEN);
    tensors.add("base_model.model.lm_head.lora_B.weight", headB, vocab, 2);
    Path place = Files.createDirectories(directory.resolve(name));
    Files.writeString(place.resolve("adapter_config.json"), CONFIG);
    Files.write(place.resolve("adapter_model.safetensors"), tensors.file());
  }

  private static Client.Answer load(String name) {
    String place = directory.resolve(name).toString();
    return client.post("/v1/load_lora_adapter", Map.of("lora_name", name, "lora_path", place));
  }

  @Test
  void completions_renumberedToken_areGoldenWithTheNewNumber() throws IOException {
    Client.Answer loaded = load("renumbered");
    assertThat(loaded.status()).as(loaded.body()).isEqualTo(200);
    JsonNode golden = Client.JSON.readTree(GOLDEN.toFile()).get("cases").get(CASE);
    List<Integer> prompt = ints(golden.get("ids"));
    List<Integer> answer = ints(golden.at("/greedy/ids"));
    assertThat(prompt).contains(OLD).doesNotContain(NEW);
    assertThat(answer).contains(OLD).doesNotContain(NEW);
    for (int round = 0; round < 2; round++) { // the second time from the prefix cache
      assertThat(tokens("renumbered", renumbered(prompt))).isEqualTo(renumbered(answer));
      assertThat(tokens("", prompt)).isEqualTo(answer);
      assertThat(tokens("", renumbered(prompt))).isNotEqualTo(answer);
    }
    JsonNode scores = promptLogprobs("renumbered", renumbered(prompt));
    JsonNode plain = promptLogprobs("", prompt);
    int place = prompt.lastIndexOf(OLD);
    assertThat(scores.get(place).get(String.valueOf(NEW)).get("logprob").asDouble())
        .isCloseTo(
            plain.get(place).get(String.valueOf(OLD)).get("logprob").asDouble(), within(1e-3));
  }

  private static List<Integer> renumbered(List<Integer> tokens) {
    return tokens.stream().map(token -> token == OLD ? NEW : token).toList();
  }

  private static List<Integer> tokens(String model, List<Integer> prompt) {
    return ints(complete(model, prompt, 64).at("/choices/0/token_ids"));
  }

  private static JsonNode promptLogprobs(String model, List<Integer> prompt) {
    return complete(model, prompt, 1).at("/choices/0/prompt_logprobs");
  }

  private static JsonNode complete(String model, List<Integer> prompt, int tokensMax) {
    Client.Answer answer =
        client.post(
            "/v1/completions",
            Map.of(
                "model",
                model,
                "prompt",
                prompt,
                "max_tokens",
                tokensMax,
                "temperature",
                0,
                "return_token_ids",
                true,
                "prompt_logprobs",
                0));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(it -> values.add(it.asInt()));
    return values;
  }

  @Test
  void load_otherVocabulary_isRefusedWithBothNumbers() {
    Client.Answer refused = load("longer");
    assertThat(refused.status()).isEqualTo(400);
    assertThat(refused.body()).contains("is for a vocabulary of 4104 tokens; the model has 4096.");
    assertThat(client.get("/v1/models").body()).doesNotContain("longer");
  }
}
