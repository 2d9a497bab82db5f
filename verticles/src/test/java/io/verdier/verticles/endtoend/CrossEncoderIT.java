package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The demo model with a head for one class scores pairs of texts. Costs some 3 s. */
class CrossEncoderIT {
  private static final String QUERY = "What is a car?";
  private static final List<String> DOCUMENTS =
      List.of("A car has four wheels.", "a", "Paris lies on the Seine.", "Cats sleep.");

  @TempDir static Path directory;

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() throws IOException {
    DemoVariant.in(
        directory,
        Map.of(
            "\"LlamaForCausalLM\"",
            "\"LlamaForSequenceClassification\"",
            "\"hidden_size\"",
            "\"num_labels\": 1, \"id2label\": {\"0\": \"near\"}, \"hidden_size\""));
    int hidden =
        Client.JSON.readTree(directory.resolve("config.json").toFile()).get("hidden_size").asInt();
    Random random = new Random(6);
    float[] head = new float[hidden];
    for (int i = 0; i < head.length; i++) {
      head[i] = (float) random.nextGaussian() / 8;
    }
    DemoVariant.addHead(directory, head, 1);
    server = InProcessServer.start("--model=" + directory);
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  private static JsonNode ok(String path, Map<String, ?> body) {
    Answer answer = client.post(path, body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json();
  }

  /** What the head says of both texts as one prompt: as the tokenizer's template frames a pair. */
  private static double expected(String first, String second, boolean activated) {
    List<Integer> ids = new ArrayList<>();
    for (String text : List.of(first, second)) {
      ok("/tokenize", Map.of("prompt", text)).get("tokens").forEach(id -> ids.add(id.asInt()));
    }
    return ok("/classify", Map.of("input", ids, "use_activation", activated))
        .at("/data/0/probs/0")
        .asDouble();
  }

  @Test
  void score_pairs_areWhatTheHeadSaysOfBoth() {
    JsonNode answer = ok("/score", Map.of("text_1", QUERY, "text_2", DOCUMENTS));
    assertThat(answer.get("data")).hasSize(DOCUMENTS.size());
    for (int i = 0; i < DOCUMENTS.size(); i++) {
      double score = answer.at("/data/" + i + "/score").asDouble();
      assertThat(score).isEqualTo(expected(QUERY, DOCUMENTS.get(i), true)).isBetween(0.0, 1.0);
    }
    JsonNode raw =
        ok("/score", Map.of("queries", QUERY, "documents", "a", "use_activation", false));
    assertThat(raw.at("/data/0/score").asDouble()).isEqualTo(expected(QUERY, "a", false));
    JsonNode each =
        ok("/v1/score", Map.of("text_1", List.of("a", "b"), "text_2", List.of("c", "d")));
    assertThat(each.at("/data/1/score").asDouble()).isEqualTo(expected("b", "d", true));
    assertThat(ok("/invocations", Map.of("text_1", QUERY, "text_2", "a")).at("/data/0/score"))
        .isEqualTo(answer.at("/data/1/score"));
  }

  @Test
  void rerank_documents_nearestFirst() {
    JsonNode results =
        ok("/rerank", Map.of("query", QUERY, "documents", DOCUMENTS, "top_n", 3)).get("results");
    assertThat(results).hasSize(3);
    double last = 1;
    for (JsonNode result : results) {
      int index = result.get("index").asInt();
      double score = result.get("relevance_score").asDouble();
      assertThat(score).isEqualTo(expected(QUERY, DOCUMENTS.get(index), true));
      assertThat(score).isLessThanOrEqualTo(last);
      last = score;
    }
    double logit =
        ok("/rerank", Map.of("query", QUERY, "documents", List.of("a"), "activation", false))
            .at("/results/0/relevance_score")
            .asDouble();
    assertThat(1 / (1 + Math.exp(-logit))).isCloseTo(expected(QUERY, "a", true), within(1e-6));
  }
}
