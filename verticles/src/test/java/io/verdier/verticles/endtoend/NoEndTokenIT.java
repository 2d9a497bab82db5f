package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model that knows no end token ends where what its answer must match does. */
class NoEndTokenIT {
  private static final String PHONE = "[0-9]{3}-[0-9]{4}";

  @TempDir static Path directory;

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    DemoVariant.in(
        directory,
        Map.of("\"eos_token_id\": (\\[[^]]*]|\\d+),", "", "\"eos_token\": \"[^\"]*\",", ""));
    server = InProcessServer.start("--model=" + directory, "--max-num-seqs=4");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Map<String, Object> body(String pattern, int seed) {
    Map<String, Object> body = new TreeMap<>();
    body.put("prompt", "Call me: ");
    body.put("guided_regex", pattern);
    body.put("temperature", 1.5);
    body.put("seed", seed);
    body.put("max_tokens", 40);
    return body;
  }

  private static JsonNode choice(String pattern, int seed) {
    Client.Answer answer = client.post("/v1/completions", body(pattern, seed));
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().at("/choices/0");
  }

  @Test
  void complete_answer_endsAndIsTheSameInABatch() throws Exception {
    List<String> alone = new ArrayList<>();
    for (int seed = 0; seed < 12; seed++) {
      JsonNode choice = choice(PHONE, seed);
      assertThat(choice.get("text").asText()).matches(PHONE);
      assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
      assertThat(choice.get("stop_reason").isNull()).isTrue();
      alone.add(choice.toString());
    }
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<String>> together = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        int seed = i;
        together.add(threads.submit(() -> choice(PHONE, seed).toString()));
      }
      for (int i = 0; i < 12; i++) {
        assertThat(together.get(i).get()).isEqualTo(alone.get(i));
      }
    }
    server.awaitIdle();
  }

  @Test
  void complete_withScores_endsBehindTheLast() {
    Map<String, Object> body = body("(yes|no)", 3);
    body.put("logprobs", 2);
    body.put("min_tokens", 10);
    JsonNode choice = client.post("/v1/completions", body).json().at("/choices/0");
    assertThat(choice.get("text").asText()).matches("yes|no");
    assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
    String scored = String.join("", texts(choice.at("/logprobs/tokens")));
    assertThat(scored).isEqualTo(choice.get("text").asText());
  }

  @Test
  void nothingToSay_endsAtOnce() {
    JsonNode choice = choice("", 1);
    assertThat(choice.get("text").asText()).isEmpty();
    assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
    server.awaitIdle();
  }

  @Test
  void moreMayFollow_goesOnToItsLength() {
    JsonNode choice = choice("[a-z ]*", 1);
    assertThat(choice.get("finish_reason").asText()).isEqualTo("length");
  }

  private static List<String> texts(JsonNode array) {
    List<String> texts = new ArrayList<>();
    array.forEach(text -> texts.add(text.asText()));
    return texts;
  }
}
