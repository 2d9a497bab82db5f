package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Engines of two models in one cluster, and one that has another's name for something else. All
 * nodes in this process; costs some seconds.
 */
class ClusterModelsIT {
  private static final int NODES = 4;
  private static final List<InProcessServer> servers = new ArrayList<>();

  private static Client ingress;
  private static Client impostor;

  @BeforeAll
  static void start() {
    List<Integer> ports = FreePorts.several(NODES);
    CompletableFuture<InProcessServer> front = started(ports, 0, "--roles=http");
    CompletableFuture<InProcessServer> alpha =
        started(ports, 1, "--roles=engine", "--served-model-name=alpha", "--max-model-len=512");
    CompletableFuture<InProcessServer> beta =
        started(
            ports,
            2,
            "--roles=engine",
            "--served-model-name=beta",
            "--max-model-len=256",
            "--data-parallel-size=2");
    servers.add(alpha.join());
    servers.add(beta.join());
    servers.add(front.join());
    ingress = new Client(servers.getLast().baseUrl());
    ClusterFixture.await(() -> models().size() == 2, "both models");
    // Seconds are what tells who was there first.
    long begun = System.currentTimeMillis() / 1000;
    ClusterFixture.await(() -> System.currentTimeMillis() / 1000 > begun, "the next second");
    servers.add(
        InProcessServer.begin(
            flags(ports, 3, "--roles=engine", "--served-model-name=alpha", "--max-model-len=384")));
    impostor = new Client(servers.getLast().baseUrl());
    ClusterFixture.await(() -> !refusal().isEmpty(), "the ingress knows of it");
  }

  @AfterAll
  static void stop() {
    servers.reversed().forEach(InProcessServer::close);
  }

  private static CompletableFuture<InProcessServer> started(
      List<Integer> ports, int number, String... flags) {
    return CompletableFuture.supplyAsync(() -> InProcessServer.start(flags(ports, number, flags)));
  }

  private static String[] flags(List<Integer> ports, int number, String... flags) {
    List<String> all =
        new ArrayList<>(
            List.of(
                "--cluster",
                "--cluster-secret=a secret of the test's own",
                "--node-name=node-" + number,
                "--cluster-port=" + ports.get(number),
                "--cluster-members="
                    + String.join(",", ports.stream().map(port -> "127.0.0.1:" + port).toList()),
                "--backend=cpu",
                "--threads=1"));
    all.addAll(List.of(flags));
    return all.toArray(String[]::new);
  }

  private static List<String> models() {
    List<String> ids = new ArrayList<>();
    JsonNode data = ingress.get("/v1/models").json().path("data");
    data.forEach(model -> ids.add(model.get("id").asText() + model.get("max_model_len")));
    return ids;
  }

  private static String refusal() {
    for (JsonNode node : ingress.get("/cluster").json().get("nodes")) {
      if (node.get("name").asText().equals("node-3")) {
        return node.path("refused").asText("");
      }
    }
    return "";
  }

  private static Answer complete(String model) {
    return ingress.post(
        "/v1/completions",
        Map.of("model", model, "prompt", "A bird", "temperature", 0, "max_tokens", 8));
  }

  private static double served(int server) {
    return servers.get(server).sum("vllm:generation_tokens_total")
        + servers.get(server).sum("vllm:prompt_tokens_total");
  }

  @Test
  void models_ofAllEngines_areListed() {
    assertThat(models()).containsExactlyInAnyOrder("alpha512", "beta256");
  }

  @Test
  void requests_goToTheModelThatTheyName() {
    double[] before = {served(0), served(1)};
    Answer alpha = complete("alpha");
    assertThat(alpha.json().get("model").asText()).isEqualTo("alpha");
    assertThat(served(0)).isGreaterThan(before[0]);
    assertThat(served(1)).isEqualTo(before[1]);
    Answer beta = complete("beta");
    assertThat(beta.json().get("model").asText()).isEqualTo("beta");
    assertThat(served(1)).isGreaterThan(before[1]);
    assertThat(beta.json().at("/choices/0/text")).isEqualTo(alpha.json().at("/choices/0/text"));
    assertThat(complete("gamma").status()).isEqualTo(404);
    assertThat(complete("").json().get("model").asText()).isIn("alpha", "beta");
  }

  @Test
  void tokenizer_isTheModelsOwn() {
    JsonNode tokens = ingress.post("/tokenize", Map.of("model", "beta", "prompt", "A bird")).json();
    assertThat(tokens.get("max_model_len").asInt()).isEqualTo(256);
    assertThat(tokens.get("count").asInt()).isPositive();
  }

  @Test
  void engine_ofTheSameNameWithOtherFlags_isNotUsedAndSaysSo() {
    String why = "The engine of node-3 is not used: it serves alpha with other weights,";
    assertThat(refusal()).startsWith(why).endsWith("than node-1, which was there first.");
    ClusterFixture.await(() -> impostor.get("/health").body().startsWith(why), "it says so");
    Answer health = impostor.get("/health");
    assertThat(health.status()).isEqualTo(503);
    for (int i = 0; i < 6; i++) {
      assertThat(complete("alpha").status()).isEqualTo(200);
    }
    assertThat(served(3)).isZero();
    assertThat(ingress.get("/health").status()).isEqualTo(200);
  }
}
