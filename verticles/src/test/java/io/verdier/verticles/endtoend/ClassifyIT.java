package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo model with a head for three classes. Costs some 3 s. */
class ClassifyIT {
  private static final int CLASSES = 3;
  private static final List<String> TEXTS =
      List.of("What is a car?", "a", "The capital of France is Paris, on the river Seine.");

  @TempDir static Path directory;

  private static InProcessServer server;
  private static Client client;
  private static float[] head;

  @BeforeAll
  static void start() throws IOException {
    DemoVariant.in(
        directory,
        Map.of(
            "\"LlamaForCausalLM\"",
            "\"LlamaForSequenceClassification\"",
            "\"hidden_size\"",
            "\"id2label\": {\"0\": \"red\", \"1\": \"green\", \"2\": \"blue\"}, \"hidden_size\""));
    int hidden =
        Client.JSON.readTree(directory.resolve("config.json").toFile()).get("hidden_size").asInt();
    Random random = new Random(5);
    head = new float[CLASSES * hidden];
    for (int i = 0; i < head.length; i++) {
      head[i] = (float) random.nextGaussian() / 8;
    }
    DemoVariant.addHead(directory, head, CLASSES);
    server = InProcessServer.start("--model=" + directory, "--task=classify");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static JsonNode classify(Map<String, ?> body) {
    Answer answer = client.post("/classify", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  @Test
  void classify_texts_classesOfTheirLastHiddenStates() {
    JsonNode answer = classify(Map.of("input", TEXTS));
    assertThat(answer.get("id").asText()).startsWith("classify-");
    assertThat(answer.get("data")).hasSize(TEXTS.size());
    try (InProcessServer embedder =
        InProcessServer.start("--runner=pooling", "--pooler-config={\"pooling_type\":\"LAST\"}")) {
      JsonNode states =
          new Client(embedder.baseUrl())
              .post("/v1/embeddings", Map.of("input", TEXTS, "use_activation", false))
              .json()
              .get("data");
      for (int i = 0; i < TEXTS.size(); i++) {
        double[] wanted = probabilities(states.get(i).get("embedding"));
        JsonNode told = answer.get("data").get(i);
        assertThat(told.get("num_classes").asInt()).isEqualTo(CLASSES);
        assertThat(told.get("index").asInt()).isEqualTo(i);
        int best = 0;
        for (int label = 0; label < CLASSES; label++) {
          assertThat(told.get("probs").get(label).asDouble())
              .isCloseTo(wanted[label], within(1e-5));
          best = wanted[label] > wanted[best] ? label : best;
        }
        assertThat(told.get("label").asText()).isEqualTo(List.of("red", "green", "blue").get(best));
        assertThat(classify(Map.of("input", TEXTS.get(i))).at("/data/0/probs"))
            .isEqualTo(told.get("probs"));
      }
    }
  }

  private static double[] probabilities(JsonNode state) {
    double[] scores = new double[CLASSES];
    double sum = 0;
    for (int label = 0; label < CLASSES; label++) {
      for (int i = 0; i < state.size(); i++) {
        scores[label] += head[label * state.size() + i] * state.get(i).asDouble();
      }
      scores[label] = Math.exp(scores[label]);
      sum += scores[label];
    }
    for (int label = 0; label < CLASSES; label++) {
      scores[label] /= sum;
    }
    return scores;
  }

  @Test
  void classify_withoutActivation_scores() {
    JsonNode probs = classify(Map.of("input", "a", "use_activation", false)).at("/data/0/probs");
    double sum = 0;
    for (JsonNode score : probs) {
      sum += Math.exp(score.asDouble());
    }
    JsonNode activated = classify(Map.of("input", "a")).at("/data/0/probs");
    assertThat(client.post("/invocations", Map.of("input", "a")).json().at("/data/0/probs"))
        .isEqualTo(activated);
    for (int i = 0; i < CLASSES; i++) {
      assertThat(Math.exp(probs.get(i).asDouble()) / sum)
          .isCloseTo(activated.get(i).asDouble(), within(1e-5));
    }
  }

  @Test
  void others_thatTheModelCannot_refused() {
    for (String path : List.of("/v1/embeddings", "/pooling")) {
      Answer answer = client.post(path, Map.of("input", "a"));
      assertThat(answer.status()).as(path).isEqualTo(400);
      assertThat(answer.json().at("/error/message").asText()).contains("it classifies");
    }
    assertThat(client.post("/v1/completions", Map.of("prompt", "a")).status()).isEqualTo(400);
    Answer score = client.post("/score", Map.of("text_1", "a", "text_2", "b"));
    assertThat(score.status()).isEqualTo(400);
    assertThat(score.body()).contains("its head has 3 classes");
  }

  @Test
  void start_classesOfAModelWithoutThem_isRefused() {
    for (String flag : List.of("--task=classify", "--convert=reward")) {
      assertThatThrownBy(() -> InProcessServer.start(flag).close())
          .as(flag)
          .hasStackTraceContaining("ForSequenceClassification");
    }
  }
}
