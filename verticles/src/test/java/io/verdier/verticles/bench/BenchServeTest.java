package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.vertx.core.json.JsonObject;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchServeTest {
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  @Test
  void run_completions_countsAndTimesEveryToken(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("result.json");
    try (LoopbackServer server = new LoopbackServer(4)) {
      int code =
          run(
              "--base-url=" + server.url(),
              "--num-prompts=12",
              "--num-warmups=3",
              "--max-concurrency=4",
              "--input-len=20",
              "--output-len=6",
              "--temperature=0",
              "--api-key=secret",
              "--expected-step-ms=4",
              "--metric-percentiles=50,99",
              "--save-result=" + file);
      assertThat(code).as(text()).isZero();
      assertThat(server.asked).hasSize(1 + 3 + 12);
      assertThat(server.asked)
          .allSatisfy(
              body -> {
                assertThat(body.getString("model")).isEqualTo("loop");
                assertThat(body.getString("prompt").split(" ")).hasSize(20);
                assertThat(body.getInteger("max_tokens")).isEqualTo(6);
                assertThat(body.getBoolean("ignore_eos")).isTrue();
                assertThat(body.getDouble("temperature")).isZero();
                assertThat(body.getJsonObject("stream_options").getBoolean("include_usage"))
                    .isTrue();
              });
      assertThat(server.keys).containsOnly("Bearer secret");
    }
    JsonObject result = new JsonObject(Files.readString(file));
    assertThat(result.getInteger("completed")).isEqualTo(12);
    assertThat(result.getInteger("failed")).isZero();
    assertThat(result.getInteger("total_input_tokens")).isEqualTo(240);
    assertThat(result.getInteger("total_output_tokens")).isEqualTo(72);
    assertThat(result.getInteger("max_concurrent_requests")).isEqualTo(4);
    assertThat(result.getDouble("median_itl_ms")).isBetween(2.0, 100.0);
    assertThat(result.getDouble("median_tpot_ms")).isBetween(2.0, 100.0);
    assertThat(result.getDouble("p99_e2el_ms")).isGreaterThan(20);
    assertThat(result.getDouble("median_added_ms"))
        .isCloseTo(result.getDouble("median_itl_ms") - 4, within(1e-9));
    assertThat(result.getDouble("duration")).isGreaterThan(3 * 0.020);
    assertThat(text())
        .contains("Successful requests:", "P99 ITL (ms):", "Added to a step of 4 ms")
        .doesNotContain("note:", "#");
  }

  @Test
  void run_chat_countsTheTemplateAndNotTheRole(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("result.json");
    try (LoopbackServer server = new LoopbackServer(1)) {
      int code =
          run(
              "--base-url=" + server.url(),
              "--endpoint=/v1/chat/completions",
              "--num-prompts=4",
              "--request-rate=500",
              "--random-input-len=9",
              "--random-output-len=3",
              "--model=other",
              "--save-result=" + file);
      assertThat(code).as(text()).isZero();
      assertThat(server.asked).allMatch(body -> "other".equals(body.getString("model")));
    }
    JsonObject result = new JsonObject(Files.readString(file));
    assertThat(result.getInteger("total_input_tokens")).isEqualTo(36);
    assertThat(result.getInteger("total_output_tokens")).isEqualTo(12);
    assertThat(result.getDouble("request_rate")).isEqualTo(500);
  }

  @Test
  void run_serverWithoutTokenize_saysSoAndGoesOn() throws Exception {
    try (LoopbackServer server = new LoopbackServer(1)) {
      server.tokenizes = false;
      assertThat(run("--base-url=" + server.url(), "--num-prompts=2", "--output-len=2")).isZero();
    }
    assertThat(text()).contains("note: /tokenize does not answer");
  }

  @Test
  void run_someRequestsRefused_countsThemAndFails() throws Exception {
    try (LoopbackServer server = new LoopbackServer(1)) {
      server.refusedWord = " water";
      int code =
          run(
              "--base-url=" + server.url(),
              "--num-prompts=60",
              "--input-len=12",
              "--output-len=2",
              "--seed=3");
      assertThat(code).as(text()).isEqualTo(1);
    }
    assertThat(text()).contains("failed: HTTP 400: no such word");
  }

  @Test
  void run_streamThatBreaks_isAFailure() throws Exception {
    try (LoopbackServer server = new LoopbackServer(1)) {
      server.breaksStreams = true;
      assertThat(run("--base-url=" + server.url(), "--num-prompts=2")).isEqualTo(1);
    }
    assertThat(text()).contains("does not answer: ");
  }

  @Test
  void run_noServer_saysWhy() throws Exception {
    String url;
    try (LoopbackServer server = new LoopbackServer(1)) {
      url = server.url();
    }
    assertThat(run("--base-url=" + url, "--num-prompts=2")).isEqualTo(1);
    assertThat(text()).contains("The benchmark cannot run: ").contains("refused");
  }

  @Test
  void run_helpAndMistakes_needNoServer() throws Exception {
    assertThat(run("--num-prompts=1", "--help")).isZero();
    assertThat(text()).contains("Usage: verdier bench serve", "--max-concurrency N");
    assertThat(run("--num-prompts=none")).isEqualTo(2);
    assertThat(text()).contains("--num-prompts is none; it must be a whole number, at least 1");
  }

  private int run(String... argv) throws InterruptedException {
    List<String> all = Stream.of(argv).toList();
    return BenchServe.run(all, new PrintStream(bytes, true, StandardCharsets.UTF_8));
  }

  private String text() {
    return bytes.toString(StandardCharsets.UTF_8);
  }
}
