package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * The demo model in four stages, each a process of its own: every answer is the one of a single
 * process, and a stage that dies is the end of all. The tests follow each other on the same
 * processes. Costs about fifteen seconds: four JVMs start on whatever cores there are.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class PipelineIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden/logits.json");
  private static final int NODES = 4;

  /** Of requests: on a busy machine they may come too far apart to want the same blocks. */
  private static final int WAVES_MAX = 8;

  /** Too few blocks for all of them, so that some are preempted; and prompts in pieces. */
  private static final String[] TIGHT = {
    "--max-model-len=640",
    "--num-gpu-blocks-override=48",
    "--long-prefill-token-threshold=70",
    "--cluster-secret=a secret of the test's own"
  };

  private static final List<JsonNode> CASES = new ArrayList<>();
  private static List<String> alone = List.of();
  private static PipelineFixture stages;
  private static Client client;

  @BeforeAll
  static void start() throws IOException {
    Client.JSON.readTree(GOLDEN.toFile()).get("cases").forEach(CASES::add);
    stages = new PipelineFixture(NODES, TIGHT);
    try (InProcessServer whole =
        InProcessServer.start("--backend=cpu", "--threads=1", "--max-model-len=640")) {
      Client one = new Client(whole.baseUrl());
      List<String> answers = new ArrayList<>();
      for (int i = 0; i < requests(); i++) {
        answers.add(answer(one, i));
      }
      alone = answers;
    }
    client = stages.awaitReady();
  }

  @AfterAll
  static void stop() {
    stages.close();
  }

  private static double preemptions() {
    return metric("vllm:num_preemptions_total");
  }

  private static int requests() {
    return 2 * CASES.size();
  }

  /** Greedy and golden, then sampled with all kinds of parameters; what a client can see of it. */
  private static String answer(Client of, int number) {
    JsonNode golden = CASES.get(number % CASES.size());
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", ints(golden.get("ids")));
    body.put("max_tokens", golden.at("/greedy/max_tokens").asInt());
    body.put("temperature", number < CASES.size() ? 0 : 0.9);
    body.put("seed", number);
    body.put("return_token_ids", true);
    switch (number % 4) {
      case 1 -> body.put("logprobs", 3);
      case 2 -> {
        body.put("presence_penalty", 0.7);
        body.put("repetition_penalty", 1.2);
      }
      case 3 -> body.put("structured_outputs", Map.of("regex", "([a-z]{3,9} ){4,20}end"));
      default -> body.put("top_k", 20);
    }
    Client.Answer answer = of.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().at("/choices/0").toString();
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asInt()));
    return values;
  }

  @Test
  @Order(1)
  void completions_togetherPreemptedAndInPieces_areThoseOfOneProcess() throws Exception {
    for (int wave = 0; wave == 0 || (wave < WAVES_MAX && preemptions() == 0); wave++) {
      List<Future<String>> together = new ArrayList<>();
      try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
        for (int i = 0; i < requests(); i++) {
          int number = i;
          together.add(threads.submit(() -> answer(client, number)));
        }
      }
      for (int i = 0; i < requests(); i++) {
        assertThat(together.get(i).get()).as("request " + i).isEqualTo(alone.get(i));
      }
    }
    assertThat(preemptions()).isPositive();
  }

  @Test
  @Order(2)
  void completions_greedyAlone_areGolden() throws IOException {
    for (int i = 0; i < CASES.size(); i += 4) { // those without further parameters but top_k
      JsonNode ids = Client.JSON.readTree(answer(client, i)).get("token_ids");
      assertThat(ids).isEqualTo(CASES.get(i).at("/greedy/ids"));
    }
  }

  @Test
  @Order(3)
  void garbage_onThePortsOfStages_harmsNobody() throws IOException {
    for (int port = stages.masterPort; port < stages.masterPort + NODES - 1; port++) {
      try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
        socket.setSoTimeout(10_000);
        socket
            .getOutputStream()
            .write("GET / HTTP/1.1\r\n\r\n".repeat(99).getBytes(StandardCharsets.UTF_8));
        assertThat(socket.getInputStream().readAllBytes().length).isLessThan(100);
      } catch (SocketException reset) {
        // Cut off with our bytes unread.
      }
    }
    assertThat(answer(client, 0)).isEqualTo(alone.get(0));
  }

  @Test
  @Order(4)
  void node_withOtherFlags_isRefusedWithTheReasonAndEnds() {
    try (ServerProcess wrong =
        stages.start(
            3,
            NODES,
            "--block-size=32",
            "--max-model-len=640",
            "--num-gpu-blocks-override=48",
            "--cluster-secret=a secret of the test's own")) {
      assertThat(wrong.exitStatus()).isEqualTo(1);
      assertThat(wrong.output())
          .contains("node 0 refuses this node: node 3 has --block-size 32, node 0 has 16");
    }
    assertThat(answer(client, 1)).isEqualTo(alone.get(1));
  }

  @Test
  @Order(5)
  void stage_killed_isTheEndOfAllWithTheReason() throws Exception {
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Client.Answer> cut =
          threads.submit(
              () ->
                  client.post(
                      "/v1/completions",
                      Map.of("prompt", "Long", "max_tokens", 600, "ignore_eos", true)));
      ClusterFixture.await(() -> metric("vllm:num_requests_running") > 0, "a running request");
      stages.node(2).kill();
      assertThat(cut.get(30, TimeUnit.SECONDS).status()).isBetween(500, 503);
    }
    for (int node : new int[] {0, 1, 3}) {
      assertThat(stages.node(node).exitStatus()).as(stages.output()).isEqualTo(1);
    }
    assertThat(stages.node(0).output()).contains("A stage of the model failed: node");
    assertThat(stages.node(3).output()).contains("The engine failed: node");
  }

  private static double metric(String series) {
    return client
        .get("/metrics")
        .body()
        .lines()
        .filter(line -> line.startsWith(series + "{"))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }
}
