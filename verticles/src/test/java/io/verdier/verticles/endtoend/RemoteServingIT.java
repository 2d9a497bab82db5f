package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model that is fetched serves the very tokens that the same files on the disk do. */
class RemoteServingIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden/logits.json");
  private static final String GCS = "gs://bucket/models/demo";
  private static final int CASES = 4;
  @TempDir Path directory;
  private final ModelCloud cloud = new ModelCloud();

  @AfterEach
  void stop() {
    cloud.close();
  }

  private InProcessServer start(String... flags) {
    List<String> all = new ArrayList<>(List.of(flags));
    all.add("--storage-emulator-host=" + cloud.endpoint());
    all.add("--hf-endpoint=" + cloud.endpoint());
    all.add("--cache-dir=" + directory);
    all.add("--download-dir=" + directory.resolve("downloads"));
    return InProcessServer.start(all.toArray(String[]::new));
  }

  @Test
  void model_ofCloudStorage_servesGoldenTokensAndIsFetchedOnce() throws IOException {
    try (InProcessServer server = start("--model=" + GCS)) {
      requireGolden(server, GCS);
    }
    long sent = cloud.bytesSent.get();
    try (InProcessServer server = start("--aip-storage-uri=" + GCS + "/")) {
      requireGolden(server, GCS + "/");
    }
    assertThat(cloud.bytesSent.get()).isEqualTo(sent);
  }

  @Test
  void model_ofTheHub_servesGoldenTokensAndThenOffline() throws IOException {
    try (InProcessServer server = start("--model=org/demo", "--revision=v1")) {
      requireGolden(server, "org/demo");
    }
    long sent = cloud.bytesSent.get();
    try (InProcessServer server = start("--model=org/demo", "--revision=v1", "--hf-hub-offline")) {
      requireGolden(server, "org/demo");
    }
    assertThat(cloud.bytesSent.get()).isEqualTo(sent);
    assertThat(directory.resolve("downloads/models--org--demo/refs/v1")).exists();
  }

  @Test
  void model_ofShards_servesGoldenTokens() throws IOException {
    cloud.shard();
    for (String source : List.of(GCS, "org/demo")) {
      try (InProcessServer server = start("--model=" + source, "--revision=v1")) {
        requireGolden(server, source);
      }
    }
  }

  /** The first shard is being packed when the second one turns out not to be there. */
  @Test
  void model_ofShardsOneOfWhichIsGone_endsTheStartWithTheReason() {
    cloud.shard();
    cloud.gone = ModelCloud.SHARDS.getLast();
    assertThatThrownBy(() -> start("--model=" + GCS).close())
        .hasStackTraceContaining("--model " + GCS)
        .hasStackTraceContaining(cloud.gone);
    cloud.gone = "";
    try (InProcessServer server = start("--model=" + GCS)) {
      assertThat(new Client(server.baseUrl()).get("/health").status()).isEqualTo(200);
    }
  }

  @Test
  void tokenizer_ofCloudStorage_isFetchedWithoutWeights() throws IOException {
    try (InProcessServer server = start("--tokenizer=" + GCS)) {
      requireGolden(server, "verdier-demo");
    }
    assertThat(cloud.asked).contains("tokenizer.json").doesNotContain("model.safetensors");
  }

  @Test
  void model_forTheNullBackend_isFetchedWithoutWeights() {
    try (InProcessServer server = start("--model=" + GCS, "--backend=null")) {
      assertThat(new Client(server.baseUrl()).get("/health").status()).isEqualTo(200);
    }
    assertThat(cloud.asked).contains("config.json").doesNotContain("model.safetensors");
  }

  @Test
  void model_ofWrongRevision_endsTheStartWithTheReason() {
    assertThatThrownBy(() -> start("--model=org/demo", "--revision=v2").close())
        .hasStackTraceContaining("--model org/demo: the repository has no branch, tag or commit v2")
        .hasStackTraceContaining("Correct --revision");
  }

  private static void requireGolden(InProcessServer server, String name) throws IOException {
    Client client = new Client(server.baseUrl());
    assertThat(client.get("/v1/models").json().at("/data/0/id").asText()).isEqualTo(name);
    JsonNode cases = Client.JSON.readTree(GOLDEN.toFile()).get("cases");
    for (int i = 0; i < CASES; i++) {
      Map<String, Object> body = new LinkedHashMap<>();
      body.put("prompt", ints(cases.get(i).get("ids")));
      body.put("max_tokens", cases.get(i).at("/greedy/max_tokens").asInt());
      body.put("temperature", 0);
      body.put("return_token_ids", true);
      JsonNode answer = client.post("/v1/completions", body).json();
      assertThat(ints(answer.at("/choices/0/token_ids")))
          .isEqualTo(ints(cases.get(i).at("/greedy/ids")));
    }
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asInt()));
    return values;
  }
}
