package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A model with changes to its configuration is another model: it answers as one whose file says so,
 * and finds nothing that the model without them has left on the disk.
 */
class ConfigOverridesIT {
  private static final String YARN =
      "{\"rope_type\": \"yarn\", \"factor\": 2.0, \"original_max_position_embeddings\": 2048}";
  private static final int LENGTH = 900;
  private static final int CACHED = 896;
  @TempDir Path directory;
  @TempDir Path written;

  private record Answer(List<Integer> tokens, int cached) {}

  private static Answer ask(InProcessServer server) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", new SplittableRandom(3).ints(LENGTH, 1, 4000).toArray());
    body.put("max_tokens", 24);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    Client.Answer answer = new Client(server.baseUrl()).post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    List<Integer> tokens = new ArrayList<>();
    for (JsonNode id : answer.json().at("/choices/0/token_ids")) {
      tokens.add(id.asInt());
    }
    int cached = answer.json().at("/usage/prompt_tokens_details/cached_tokens").asInt();
    return new Answer(tokens, cached);
  }

  private InProcessServer start(String... more) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--host-prefix-kv-cache-min-len=100",
                "--num-gpu-blocks-override=300",
                "--enable-prompt-tokens-details",
                "--kv-offloading-size=1",
                "--prefix-cache-dir=" + directory));
    flags.addAll(List.of(more));
    return InProcessServer.start(flags.toArray(String[]::new));
  }

  private static int length(InProcessServer server) {
    return new Client(server.baseUrl())
        .get("/v1/models")
        .json()
        .at("/data/0/max_model_len")
        .asInt();
  }

  private static double diskBytes(InProcessServer server) {
    return server
        .server()
        .metricsText()
        .lines()
        .filter(line -> line.startsWith("verdier:prefix_tier_bytes_in_total{"))
        .filter(line -> line.contains("tier=\"disk\""))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  @Test
  void changes_byFlag_areAnotherModelsWithCachesOfItsOwn() {
    List<Integer> plain;
    try (InProcessServer server = start()) {
      Answer answer = ask(server);
      plain = answer.tokens;
      assertThat(answer.cached).isZero();
      assertThat(length(server)).isEqualTo(2048);
      ClusterFixture.await(() -> diskBytes(server) > 0, "the disk gets no blocks");
    }
    DemoVariant.in(
        written,
        Map.of(
            "\"hidden_size\"",
            Matcher.quoteReplacement("\"rope_parameters\": " + YARN + ", \"hidden_size\"")));
    List<Integer> stretched;
    try (InProcessServer server =
        InProcessServer.start("--model=" + written, "--num-gpu-blocks-override=300")) {
      stretched = ask(server).tokens;
    }
    assertThat(stretched).isNotEqualTo(plain);
    for (String flag :
        List.of("--rope-scaling=" + YARN, "--hf-overrides={\"rope_parameters\": " + YARN + "}")) {
      try (InProcessServer server = start(flag, "--max-model-len=4096")) {
        Answer answer = ask(server);
        assertThat(answer.tokens).as(flag).isEqualTo(stretched);
        assertThat(answer.cached).as(flag).isZero();
        assertThat(length(server)).isEqualTo(4096);
      }
    }
    try (InProcessServer server = start()) {
      Answer answer = ask(server);
      assertThat(answer.tokens).isEqualTo(plain);
      assertThat(answer.cached).as("it is there for the model that it is of").isEqualTo(CACHED);
    }
  }
}
