package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The promise, through the whole server: the same request gives the same tokens alone, in a batch,
 * chunked, preempted, cached or not. Greedy answers must be the golden ones; sampled answers must
 * be equal everywhere.
 */
class GoldenServingIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden/logits.json");
  private static final int CONCURRENT = 16;

  private static List<JsonNode> cases = List.of();
  private static List<List<Integer>> sampledAlone = List.of();
  private static List<List<Integer>> manyAlone = List.of();

  @BeforeAll
  static void readGolden() throws IOException {
    cases = new ArrayList<>();
    Client.JSON.readTree(GOLDEN.toFile()).get("cases").forEach(cases::add);
    try (InProcessServer server = InProcessServer.start("--no-enable-prefix-caching")) {
      Client client = new Client(server.baseUrl());
      sampledAlone = cases.stream().map(golden -> tokens(client, golden, 0.9)).toList();
      manyAlone = client.manyChoices();
      assertThat(server.metric("vllm:num_preemptions_total")).isZero();
    }
  }

  @Test
  void completions_alone_areGolden() throws Exception {
    try (InProcessServer server = InProcessServer.start()) {
      Client client = new Client(server.baseUrl());
      for (JsonNode golden : cases) {
        assertThat(tokens(client, golden, 0)).as(name(golden)).isEqualTo(goldenTokens(golden));
      }
      assertThat(server.metric("vllm:num_preemptions_total")).isZero();
    }
  }

  @Test
  void completions_batched_areGoldenAndSampledAreEqual() throws Exception {
    try (InProcessServer server = InProcessServer.start()) {
      checkBatch(server);
      checkBatch(server); // now from the prefix cache
      assertThat(server.metric("vllm:prefix_cache_hits_total")).isPositive();
    }
  }

  @Test
  void completions_withoutPrefixCache_areGoldenAndSampledAreEqual() throws Exception {
    try (InProcessServer server = InProcessServer.start("--no-enable-prefix-caching")) {
      checkBatch(server);
      checkBatch(server);
      assertThat(server.metric("vllm:prefix_cache_hits_total")).isZero();
    }
  }

  @Test
  void completions_chunkedBySevenTokens_areGoldenAndSampledAreEqual() throws Exception {
    try (InProcessServer server = InProcessServer.start("--long-prefill-token-threshold=7")) {
      checkBatch(server);
    }
  }

  @Test
  void completions_cacheTooSmall_arePreemptedAndStillEqual() throws Exception {
    try (InProcessServer server =
        InProcessServer.start("--max-model-len=640", "--num-gpu-blocks-override=48")) {
      checkBatch(server);
      checkPreempted(server);
    }
  }

  @Test
  void completions_plannedAhead_areGoldenAndSampledAreEqual() throws Exception {
    try (InProcessServer server =
        InProcessServer.start("--async-scheduling", "--long-prefill-token-threshold=50")) {
      checkBatch(server);
      checkBatch(server); // now from the prefix cache
      assertThat(server.metric("vllm:prefix_cache_hits_total")).isPositive();
      server.awaitIdle();
      assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
    }
  }

  @Test
  void completions_plannedAheadAndCacheTooSmall_arePreemptedAndStillEqual() throws Exception {
    try (InProcessServer server =
        InProcessServer.start(
            "--async-scheduling", "--max-model-len=640", "--num-gpu-blocks-override=48")) {
      checkBatch(server);
      checkPreempted(server);
    }
  }

  @Test
  void chat_streamedAndWhole_sameText() throws Exception {
    try (InProcessServer server = InProcessServer.start()) {
      Client client = new Client(server.baseUrl());
      Map<String, Object> body = new LinkedHashMap<>();
      body.put("messages", List.of(Map.of("role", "user", "content", "What is a car?")));
      body.put("seed", 7);
      String whole =
          client
              .post("/v1/chat/completions", body)
              .json()
              .at("/choices/0/message/content")
              .asText();
      assertThat(whole).isNotBlank();
      body.put("stream", true);
      StringBuilder streamed = new StringBuilder();
      for (JsonNode event : Client.events(client.post("/v1/chat/completions", body))) {
        streamed.append(event.at("/choices/0/delta/content").asText(""));
      }
      assertThat(streamed).hasToString(whole);
    }
  }

  /** All cases at once, greedy and sampled, {@value #CONCURRENT} in flight. */
  private static void checkBatch(InProcessServer server) throws Exception {
    Client client = new Client(server.baseUrl());
    List<Future<List<Integer>>> greedy = new ArrayList<>();
    List<Future<List<Integer>>> sampled = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(CONCURRENT)) {
      for (JsonNode golden : cases) {
        greedy.add(threads.submit(() -> tokens(client, golden, 0)));
        sampled.add(threads.submit(() -> tokens(client, golden, 0.9)));
      }
    }
    for (int i = 0; i < cases.size(); i++) {
      assertEqual(greedy.get(i), goldenTokens(cases.get(i)), "greedy " + name(cases.get(i)));
      assertEqual(sampled.get(i), sampledAlone.get(i), "sampled " + name(cases.get(i)));
    }
  }

  /**
   * Eight answers that begin together and do not fit together: one request, so no client is late.
   */
  private static void checkPreempted(InProcessServer server) throws Exception {
    assertThat(new Client(server.baseUrl()).manyChoices()).isEqualTo(manyAlone);
    assertThat(server.metric("vllm:num_preemptions_total")).isPositive();
    server.awaitIdle();
    assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
  }

  private static void assertEqual(Future<List<Integer>> actual, List<Integer> expected, String name)
      throws ExecutionException, InterruptedException {
    assertThat(actual.get()).as(name).isEqualTo(expected);
  }

  private static List<Integer> tokens(Client client, JsonNode golden, double temperature) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", ints(golden.get("ids")));
    body.put("max_tokens", golden.at("/greedy/max_tokens").asInt());
    body.put("temperature", temperature);
    body.put("top_p", 0.95);
    body.put("seed", 1234);
    body.put("return_token_ids", true);
    Client.Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return ints(answer.json().at("/choices/0/token_ids"));
  }

  private static List<Integer> goldenTokens(JsonNode golden) {
    return ints(golden.at("/greedy/ids"));
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asInt()));
    return values;
  }

  private static String name(JsonNode golden) {
    return golden.get("name").asText();
  }
}
