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
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Prefixes of two tenants whose adapters have one name, in every tier: what is found was computed
 * with the same contents, by whatever name. A KV cache for one prompt of 1,000 tokens, host memory
 * and a disk behind it; some 10 s.
 */
class AdapterPrefixesIT {
  private static final int LENGTH = 1000;
  private static final int CACHED = 992;
  private static final String A = AdapterCloud.BUCKET + "tenant-a/support";
  private static final String B = AdapterCloud.BUCKET + "tenant-b/support";
  private static final String C = AdapterCloud.BUCKET + "tenant-c/support";
  private static final String BASE = "";
  @TempDir Path directory;

  private record Answer(List<Integer> tokens, int cached) {}

  private static Map<String, Object> body() {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", new SplittableRandom(1).ints(LENGTH, 1, 4000).toArray());
    body.put("max_tokens", 16);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    return body;
  }

  private static Answer ask(InProcessServer server, String adapter) {
    Map<String, Object> body = body();
    if (!adapter.isEmpty()) {
      body.put("dynamic-lora", adapter);
    }
    return answer(server, body);
  }

  private static Answer answer(InProcessServer server, Map<String, Object> body) {
    Client.Answer answer = new Client(server.baseUrl()).post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    List<Integer> tokens = new ArrayList<>();
    for (JsonNode id : answer.json().at("/choices/0/token_ids")) {
      tokens.add(id.asInt());
    }
    int cached = answer.json().at("/usage/prompt_tokens_details/cached_tokens").asInt();
    return new Answer(tokens, cached);
  }

  private InProcessServer start(AdapterCloud cloud, String... more) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--max-model-len=1024",
                "--num-gpu-blocks-override=66",
                "--host-prefix-kv-cache-min-len=100",
                "--enable-prompt-tokens-details",
                "--enable-lora",
                "--max-loras=2",
                "--max-cpu-loras=2",
                "--allow-runtime-lora-updating"));
    flags.addAll(cloud.flags(directory));
    flags.addAll(List.of(more));
    return InProcessServer.start(flags.toArray(String[]::new));
  }

  private static double tier(InProcessServer server, String metric, String tier) {
    String name = "verdier:prefix_tier_" + metric + "_total{";
    return server
        .server()
        .metricsText()
        .lines()
        .filter(line -> line.startsWith(name) && line.contains("tier=\"" + tier + "\""))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  private static void requireFound(InProcessServer server, String adapter, List<Integer> tokens) {
    Answer answer = ask(server, adapter);
    assertThat(answer.cached).as(adapter).isEqualTo(CACHED);
    assertThat(answer.tokens).as(adapter).isEqualTo(tokens);
  }

  private static void requireComputed(
      InProcessServer server, String adapter, List<Integer> tokens) {
    Answer answer = ask(server, adapter);
    assertThat(answer.cached).as(adapter).isZero();
    assertThat(answer.tokens).as(adapter).isEqualTo(tokens);
  }

  @Test
  void adaptersOfOneName_inEveryTier_areToldApartByTheirContents() {
    try (AdapterCloud cloud = new AdapterCloud()) {
      cloud.addDemo("tenant-a/support", "pirate");
      cloud.addDemo("tenant-b/support", "french");
      cloud.addGenerated("tenant-c/support", 1);
      List<List<Integer>> cold = cold(cloud);
      List<Integer> pirate = cold.get(0);
      List<Integer> french = cold.get(1);
      List<Integer> base = cold.get(3);

      String[] tiers = {
        "--kv-offloading-size=1", "--prefix-cache-dir=" + directory.resolve("prefixes")
      };
      try (InProcessServer server = start(cloud, tiers)) {
        requireComputed(server, A, pirate);
        requireComputed(server, B, french); // while the device has A's
        requireComputed(server, BASE, base);
        requireFound(server, BASE, base); // on the device
        assertThat(tier(server, "hits", "host")).isZero();
        requireFound(server, A, pirate);
        requireFound(server, B, french);
        assertThat(tier(server, "hits", "host")).isGreaterThan(2 * (CACHED - 100.0));
        requireNamed(server, A, pirate);
        requireNamed(server, B, french); // the same name, in place
        requireComputed(server, C, cold.get(2));
        ClusterFixture.await(
            () -> tier(server, "bytes_in", "disk") == tier(server, "bytes_in", "host"),
            "the disk does not get all blocks");
      }

      cloud.generation = 2; // the tenants have changed places
      cloud.addDemo("tenant-a/support", "french");
      cloud.addDemo("tenant-b/support", "pirate");
      cloud.addGenerated("tenant-c/support", 2);
      List<Integer> fresh = cold(cloud).get(2);
      try (InProcessServer server = start(cloud, tiers)) {
        requireFound(server, A, french);
        requireFound(server, B, pirate);
        requireFound(server, BASE, base);
        assertThat(tier(server, "hits", "disk")).isEqualTo(3.0 * CACHED);
        requireComputed(server, C, fresh);
      }
    }
  }

  /** What each gives where nothing is kept. */
  private List<List<Integer>> cold(AdapterCloud cloud) {
    try (InProcessServer server = start(cloud, "--no-enable-prefix-caching")) {
      List<List<Integer>> tokens =
          Stream.of(A, B, C, BASE).map(it -> ask(server, it).tokens).toList();
      assertThat(tokens).doesNotHaveDuplicates();
      return tokens;
    }
  }

  /** A name that an operator gives finds what was computed with the same contents. */
  private static void requireNamed(InProcessServer server, String place, List<Integer> tokens) {
    Map<String, Object> load = new LinkedHashMap<>();
    load.put("lora_name", "support");
    load.put("lora_path", place);
    load.put("load_inplace", true);
    assertThat(new Client(server.baseUrl()).post("/v1/load_lora_adapter", load).status())
        .isEqualTo(200);
    Map<String, Object> named = body();
    named.put("model", "support");
    assertThat(answer(server, named)).isEqualTo(new Answer(tokens, CACHED));
  }
}
