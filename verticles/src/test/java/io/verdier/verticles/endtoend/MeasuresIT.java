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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Metrics that must be asked for, and those of the disk, on a server whose cache holds 20 blocks of
 * 16 tokens. Costs some 10 s.
 */
class MeasuresIT {
  private static final int BLOCKS = 20;
  private static final int PROMPT = 160;

  @TempDir Path directory;

  private static InProcessServer start(String... more) {
    List<String> flags =
        new ArrayList<>(List.of("--max-model-len=320", "--num-gpu-blocks-override=" + BLOCKS));
    flags.addAll(List.of(more));
    return InProcessServer.start(flags.toArray(String[]::new));
  }

  /** The token ids of the answer to a prompt of random tokens. */
  private static JsonNode ask(InProcessServer server, int number) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", new SplittableRandom(number).ints(PROMPT, 1, 4000).toArray());
    body.put("max_tokens", 4);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    Client.Answer answer = new Client(server.baseUrl()).post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    server.awaitIdle();
    return answer.json().at("/choices/0/token_ids");
  }

  @Test
  void blocks_takenAndFound_areTimed() {
    try (InProcessServer server = start("--kv-cache-metrics", "--kv-cache-metrics-sample=1")) {
      JsonNode first = ask(server, 1); // 11 blocks that were never held
      assertThat(count(server, "lifetime")).isZero();
      for (int i = 0; i < 3; i++) {
        assertThat(ask(server, 1)).isEqualTo(first); // finds 9, takes the others anew
      }
      ask(server, 2);
      ask(server, 3);
      ask(server, 4); // whatever the first prompt had is gone
      Scrape page = Scrape.of(server.baseUrl());
      long life = page.histogram("vllm:kv_block_lifetime_seconds").getSampleCount();
      long idle = page.histogram("vllm:kv_block_idle_before_evict_seconds").getSampleCount();
      assertThat(life).isGreaterThanOrEqualTo(9).isEqualTo(idle);
      // Of each of the nine blocks three finds, which are two gaps.
      assertThat(count(server, "reuse_gap")).isEqualTo(18);
      assertThat(page.histogram("vllm:kv_block_lifetime_seconds").getSampleSum())
          .isGreaterThan(page.histogram("vllm:kv_block_idle_before_evict_seconds").getSampleSum());
    }
  }

  private static long count(InProcessServer server, String what) {
    return Scrape.of(server.baseUrl())
        .histogram("vllm:kv_block_" + what + "_seconds")
        .getSampleCount();
  }

  @Test
  void work_ofAPromptAndItsAnswer_isWhatTheModelsShapeSays() throws Exception {
    JsonNode shape =
        Client.JSON.readTree(
            Path.of("../engine/src/main/resources/demo-model/config.json").toFile());
    double hidden = shape.get("hidden_size").asDouble();
    double layers = shape.get("num_hidden_layers").asDouble();
    double heads = shape.get("num_attention_heads").asDouble();
    double kvHeads = shape.get("num_key_value_heads").asDouble();
    double headDim = shape.path("head_dim").asDouble(hidden / heads);
    double inner = shape.get("intermediate_size").asDouble();
    double vocabulary = shape.get("vocab_size").asDouble();
    try (InProcessServer server = start("--enable-mfu-metrics")) {
      assertThat(operations(server)).isZero();
      ask(server, 1);
      double tokens = PROMPT + 3; // the fourth that is drawn is not computed with
      double matrices = (2 * heads + 2 * kvHeads) * headDim * hidden + 3 * hidden * inner;
      double seen = tokens * (tokens + 1) / 2;
      double expected =
          2 * tokens * layers * matrices
              + 4 * heads * headDim * layers * seen
              + 2 * 4 * hidden * vocabulary;
      assertThat(operations(server)).isEqualTo(expected);
      Scrape page = Scrape.of(server.baseUrl());
      double weights = layers * matrices + hidden * vocabulary;
      assertThat(page.value("vllm:estimated_read_bytes_per_gpu_total"))
          .as("four steps read all weights, of two bytes or four")
          .isGreaterThan(4 * 2 * weights);
      assertThat(page.value("vllm:estimated_write_bytes_per_gpu_total"))
          .isBetween(tokens * layers * 2 * kvHeads * headDim * 2, 4 * 4 * weights);
    }
  }

  private static double operations(InProcessServer server) {
    return Scrape.of(server.baseUrl()).value("vllm:estimated_flops_per_gpu_total");
  }

  @Test
  void notAskedFor_areNotThere() {
    try (InProcessServer server = start()) {
      assertThat(Scrape.of(server.baseUrl()).families().keySet())
          .noneMatch(name -> name.contains("kv_block_") || name.contains("per_gpu"));
    }
  }

  /** What went to the disk and came back, by vLLM's names and by ours. */
  @Test
  void tiering_promptsThatCameFromTheDisk_areCountedInBytes() {
    String[] flags = {
      "--kv-offloading-size=0.05",
      "--host-prefix-kv-cache-min-len=32",
      "--prefix-cache-dir=" + directory
    };
    JsonNode first;
    try (InProcessServer server = start(flags)) {
      first = ask(server, 1);
      ask(server, 2);
      ask(server, 3);
    }
    try (InProcessServer server = start(flags)) {
      assertThat(ask(server, 1)).isEqualTo(first);
      Scrape page = Scrape.of(server.baseUrl());
      double read = page.value("vllm:kv_offload_tiering_read_bytes_total", "tier", "fs");
      double tokens = page.value("verdier:prefix_tier_hits_total", "tier", "disk");
      assertThat(tokens).isEqualTo(144); // nine blocks: the last token of a prompt is computed
      assertThat(read)
          .isPositive()
          .isEqualTo(page.value("verdier:prefix_tier_bytes_out_total", "tier", "disk"));
      ask(server, 4);
      ask(server, 5);
      Scrape later = Scrape.of(server.baseUrl());
      assertThat(later.value("vllm:kv_offload_tiering_write_bytes_total", "tier", "fs"))
          .isEqualTo(later.value("verdier:prefix_tier_bytes_in_total", "tier", "disk"))
          .isPositive();
      assertThat(read * 16 / tokens)
          .as("bytes of a block: a whole number of them")
          .isEqualTo(Math.rint(read * 16 / tokens));
    }
  }
}
