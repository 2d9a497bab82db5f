package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.engine.backend.RankFailure;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A server whose model is shared by two ranks: the promise holds as it does for one. */
@Tag("java-kernels")
class RankServingIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden/logits.json");
  private static final String RANKS = "--tensor-parallel-size=2";
  private static final List<JsonNode> CASES = new ArrayList<>();

  @BeforeAll
  static void readGolden() throws IOException {
    Client.JSON.readTree(GOLDEN.toFile()).get("cases").forEach(CASES::add);
  }

  /** In float32: the order of sums over ranks is too small a difference for any greedy choice. */
  @Test
  void completions_javaKernels_areGolden() {
    try (InProcessServer server = InProcessServer.start(RANKS, "--cpu-kernels=java")) {
      Client client = new Client(server.baseUrl());
      for (JsonNode golden : CASES) {
        assertThat(tokens(client, golden, 0))
            .as(golden.get("name").asText())
            .isEqualTo(ints(golden.at("/greedy/ids")));
      }
    }
    assertNoRankThread();
  }

  @Test
  void completions_batchedChunkedPreempted_areEqualToAlone() throws Exception {
    List<List<Integer>> alone = new ArrayList<>();
    List<List<Integer>> manyAlone;
    try (InProcessServer server = InProcessServer.start(RANKS, "--no-enable-prefix-caching")) {
      Client client = new Client(server.baseUrl());
      for (int i = 0; i < CASES.size(); i++) {
        alone.add(tokens(client, CASES.get(i), i % 2 * 0.9));
      }
      manyAlone = client.manyChoices();
    }
    try (InProcessServer server =
        InProcessServer.start(
            RANKS,
            "--max-model-len=640",
            "--num-gpu-blocks-override=48",
            "--long-prefill-token-threshold=7")) {
      Client client = new Client(server.baseUrl());
      for (int round = 0; round < 2; round++) { // the second from the prefix cache
        List<Future<List<Integer>>> together = new ArrayList<>();
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
          for (int i = 0; i < CASES.size(); i++) {
            JsonNode golden = CASES.get(i);
            double temperature = i % 2 * 0.9;
            together.add(threads.submit(() -> tokens(client, golden, temperature)));
          }
        }
        for (int i = 0; i < CASES.size(); i++) {
          assertThat(together.get(i).get())
              .as(CASES.get(i).get("name").asText())
              .isEqualTo(alone.get(i));
        }
      }
      assertThat(client.manyChoices()).isEqualTo(manyAlone);
      assertThat(server.metric("vllm:num_preemptions_total")).isPositive();
    }
    assertNoRankThread();
  }

  @Test
  void step_losesARank_healthFailsForGood() {
    try (InProcessServer server = InProcessServer.start(FailingRank::new, RANKS)) {
      Client client = new Client(server.baseUrl());
      assertThat(client.get("/health").status()).isEqualTo(200);
      Client.Answer answer = client.post("/v1/completions", Map.of("prompt", List.of(1, 2)));
      assertThat(answer.status()).isBetween(500, 503);
      assertThat(answer.body()).doesNotContain("of the test");
      long deadline = System.nanoTime() + 10_000_000_000L;
      while (client.get("/health").status() != 503 && System.nanoTime() < deadline) {
        Thread.onSpinWait();
      }
      assertThat(client.get("/health").status()).isEqualTo(503);
    }
    assertNoRankThread();
  }

  private static void assertNoRankThread() {
    assertThat(Thread.getAllStackTraces().keySet().stream().map(Thread::getName))
        .noneMatch(name -> name.startsWith("verdier-rank-"));
  }

  private static List<Integer> tokens(Client client, JsonNode golden, double temperature) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", ints(golden.get("ids")));
    body.put("max_tokens", golden.at("/greedy/max_tokens").asInt());
    body.put("temperature", temperature);
    body.put("seed", 1234);
    body.put("return_token_ids", true);
    Client.Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return ints(answer.json().at("/choices/0/token_ids"));
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asInt()));
    return values;
  }

  /** Every step ends as when one of its ranks fails. Owned by the executor thread. */
  private record FailingRank(StepRunner runner) implements StepRunner {
    @Override
    public void begin(StepPlan plan) {}

    @Override
    public StepOutcome finish() {
      throw new RankFailure("rank 1 of the test", new IllegalStateException("of the test"));
    }

    @Override
    public void close() {
      runner.close();
    }
  }
}
