package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.InProcessServer;
import io.verdier.verticles.launch.ServerProcess;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Two stages: in one process, and in two over mutual TLS; how they end, stopped and told to; and as
 * an engine of a cluster. Costs about thirty seconds, of which four are a stopped node's silence.
 */
class PipelinePairIT {
  private static final Map<String, Object> REQUEST =
      Map.of("prompt", "A small bird", "max_tokens", 60, "seed", 7, "return_token_ids", true);

  private static final int STREAMS = 12;
  private static final String[] OF_CLUSTER = {
    "--cluster-secret=a secret of the test's own",
    "--backend=cpu",
    "--threads=1",
    "--max-model-len=512",
    "--num-gpu-blocks-override=800"
  };

  @TempDir private Path directory;

  private static JsonNode answer(Client client) {
    return answer(client, REQUEST);
  }

  private static JsonNode answer(Client client, Map<String, Object> request) {
    Client.Answer answer = client.post("/v1/completions", request);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return answer.json().at("/choices/0/token_ids");
  }

  private static JsonNode ofOnePiece() {
    try (InProcessServer whole = InProcessServer.start("--backend=cpu", "--threads=1")) {
      return answer(new Client(whole.baseUrl()));
    }
  }

  @Test
  void stages_inOneProcess_answerAsOnePieceAndSleepAndWake() throws Exception {
    JsonNode expected = ofOnePiece();
    try (InProcessServer server =
        InProcessServer.start(
            "--backend=cpu",
            "--threads=2",
            "--pipeline-parallel-size=2",
            "--admin-api-key=admin")) {
      Client client = new Client(server.baseUrl());
      assertThat(answer(client)).isEqualTo(expected);
      admin(server, "/sleep?level=2");
      admin(server, "/wake_up");
      assertThat(answer(client)).isEqualTo(expected);
    }
    assertThat(Thread.getAllStackTraces().keySet().stream().map(Thread::getName))
        .noneMatch(name -> name.startsWith("verdier-stage-"));
  }

  private static void admin(InProcessServer server, String path) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(server.baseUrl() + path))
            .header("Authorization", "Bearer admin")
            .POST(HttpRequest.BodyPublishers.noBody())
            .build();
    try (HttpClient http = HttpClient.newHttpClient()) {
      assertThat(http.send(request, HttpResponse.BodyHandlers.discarding()).statusCode())
          .isEqualTo(200);
    }
  }

  @Test
  void stages_overMutualTls_answerAsOnePieceAndEndInOrder() throws Exception {
    String[] flags = NodeCertificates.flags(directory).toArray(String[]::new);
    try (PipelineFixture pair = new PipelineFixture(2, flags)) {
      assertThat(answer(pair.awaitReady())).isEqualTo(ofOnePiece());
      pair.node(1).terminate(); // waits for node 0, which has not been told
      assertThat(answer(pair.awaitReady())).isEqualTo(ofOnePiece());
      pair.node(0).terminate();
      assertThat(pair.node(0).exitStatus()).as(pair.output()).isZero();
      assertThat(pair.node(1).exitStatus()).as(pair.output()).isZero();
    }
  }

  @Test
  void stage_thatHangs_isTheEndOfBoth() {
    try (PipelineFixture pair = new PipelineFixture(2)) {
      Client client = pair.awaitReady();
      assertThat(answer(client).size()).isPositive();
      pair.node(1).signal("STOP");
      assertThat(pair.node(0).exitStatus()).as(pair.output()).isEqualTo(1);
      assertThat(pair.node(0).output()).contains("node 1: it has said nothing for 4 s");
      pair.node(1).signal("CONT");
      assertThat(pair.node(1).exitStatus()).isEqualTo(1);
    }
  }

  /** As any engine's streams do, those of one in stages go on at another when a stage dies. */
  @Test
  void stage_killedInACluster_itsStreamsGoOnElsewhere() throws Exception {
    List<JsonNode> expected = new ArrayList<>();
    try (InProcessServer whole = InProcessServer.start("--backend=cpu", "--threads=1")) {
      Client client = new Client(whole.baseUrl());
      for (int i = 0; i < STREAMS; i++) {
        expected.add(answer(client, longRequest(i)));
      }
    }
    String port = "--master-port=" + FreePorts.one();
    String[] stages = {"--pipeline-parallel-size=2", port};
    try (ClusterFixture cluster = ClusterFixture.of(3, OF_CLUSTER)) {
      cluster.add("staged", "engine,cache", stages[0], stages[1], "--node-rank=0");
      cluster.add("whole", "engine,cache");
      ClusterFixture.Node ingress = cluster.add("ingress", "http");
      List<String> flags = new ArrayList<>(List.of("serve", "--node-rank=1"));
      flags.addAll(List.of(stages));
      flags.addAll(List.of(OF_CLUSTER));
      try (ServerProcess stage =
              ServerProcess.startedWith(ServerProcess.SMALL, flags.toArray(String[]::new));
          ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
        cluster.awaitReady(3);
        List<Future<JsonNode>> streams = new ArrayList<>();
        for (int i = 0; i < STREAMS; i++) {
          Map<String, Object> request = longRequest(i);
          streams.add(threads.submit(() -> answer(ingress.client(), request)));
        }
        ClusterFixture.await(() -> ClusterFixture.live(ingress, "staged") > 2, "streams there");
        stage.kill();
        for (int i = 0; i < STREAMS; i++) {
          assertThat(streams.get(i).get(90, TimeUnit.SECONDS)).isEqualTo(expected.get(i));
        }
      }
    }
  }

  private static Map<String, Object> longRequest(int number) {
    return Map.of(
        "prompt",
        "Story number " + number + ": a bird",
        "max_tokens",
        200,
        "ignore_eos",
        true,
        "seed",
        number,
        "return_token_ids",
        true);
  }
}
