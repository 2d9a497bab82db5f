package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Two engines behind one port: answers are those of one, both work, and what operators want reaches
 * both. Costs the start of one server and some seconds.
 */
@Tag("java-kernels")
class EnginesIT {
  private static final Path GOLDEN = Path.of("../engine/src/test/resources/golden");
  private static final Path ADAPTERS = Path.of("../engine/src/main/resources/demo-model/lora");
  private static final int TOKENS = 300;

  private static InProcessServer server;
  private static Client client;
  private static final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();

  private final HttpClient http = HttpClient.newHttpClient();

  @BeforeAll
  static void start() {
    server =
        InProcessServer.start(
            "--backend=cpu",
            "--cpu-kernels=java",
            "--data-parallel-size=2",
            "--admin-api-key=key",
            "--enable-prompt-tokens-details",
            "--enable-lora",
            "--allow-runtime-lora-updating",
            "--lora-modules",
            "pirate=" + ADAPTERS.resolve("pirate"));
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
    threads.shutdownNow();
  }

  @AfterEach
  void goOn() throws Exception {
    assertThat(admin("POST", "/wake_up").status()).isEqualTo(200);
    server.awaitIdle();
  }

  private Answer admin(String method, String path) throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(server.baseUrl() + path))
            .header("Authorization", "Bearer key")
            .method(method, HttpRequest.BodyPublishers.noBody())
            .build();
    var response = http.send(request, BodyHandlers.ofString());
    return new Answer(response.statusCode(), response.body());
  }

  private static double ofEngine(String series, int engine) {
    return Scrape.of(server.baseUrl()).value(series, "engine", Integer.toString(engine));
  }

  private static List<JsonNode> cases(String file) throws IOException {
    List<JsonNode> cases = new ArrayList<>();
    Client.JSON.readTree(GOLDEN.resolve(file).toFile()).get("cases").forEach(cases::add);
    return cases;
  }

  private static List<Integer> ids(Answer answer) {
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    return ints(answer.json().at("/choices/0/token_ids"));
  }

  private static List<Integer> ints(JsonNode array) {
    List<Integer> values = new ArrayList<>();
    array.forEach(value -> values.add(value.asInt()));
    return values;
  }

  private static Map<String, Object> body(Object prompt, double temperature, int tokens) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", prompt);
    body.put("max_tokens", tokens);
    body.put("temperature", temperature);
    body.put("seed", 1234);
    body.put("return_token_ids", true);
    return body;
  }

  private static CompletableFuture<Answer> async(Map<String, Object> body) {
    return CompletableFuture.supplyAsync(() -> client.post("/v1/completions", body), threads);
  }

  @Test
  void completions_ofBothEngines_areGoldenAndSampledOnesEqual() throws Exception {
    List<JsonNode> cases = cases("logits.json");
    List<JsonNode> pirates = cases("logits-lora-pirate.json");
    double[] before = {tokensOf(0), tokensOf(1)};
    List<Future<List<Integer>>> greedy = new ArrayList<>();
    List<Future<List<Integer>>> adapted = new ArrayList<>();
    List<Future<List<Integer>>> sampled = new ArrayList<>();
    try (ExecutorService threads = Executors.newFixedThreadPool(12)) {
      for (JsonNode golden : cases) {
        List<Integer> prompt = ints(golden.get("ids"));
        int tokens = golden.at("/greedy/max_tokens").asInt();
        Map<String, Object> ofPirate = body(prompt, 0, 64);
        ofPirate.put("model", "pirate");
        greedy.add(threads.submit(() -> answer(body(prompt, 0, tokens))));
        adapted.add(threads.submit(() -> answer(ofPirate)));
        sampled.add(threads.submit(() -> answer(body("A car is", 0.9, 40))));
      }
    }
    for (int i = 0; i < cases.size(); i++) {
      assertThat(greedy.get(i).get()).isEqualTo(ints(cases.get(i).at("/greedy/ids")));
      assertThat(adapted.get(i).get()).isEqualTo(ints(pirates.get(i).at("/greedy/ids")));
      assertThat(sampled.get(i).get()).isEqualTo(sampled.getFirst().get());
    }
    assertThat(tokensOf(0)).isGreaterThan(before[0]);
    assertThat(tokensOf(1)).isGreaterThan(before[1]);
  }

  private static List<Integer> answer(Map<String, Object> body) {
    return ids(client.post("/v1/completions", body));
  }

  private static double tokensOf(int engine) {
    return ofEngine("vllm:generation_tokens_total", engine);
  }

  @Test
  void conversation_goesOnWhereItIsCached() {
    String prompt = "An engine that has read this much need not read it again. ".repeat(12);
    for (int turn = 0; turn < 4; turn++) {
      JsonNode usage =
          client.post("/v1/completions", body(prompt + turn, 0, 2)).json().get("usage");
      assertThat(usage.at("/prompt_tokens_details/cached_tokens").asInt() > 0).isEqualTo(turn > 0);
    }
  }

  @Test
  void pause_keepingRequests_holdsBothAndTheyGoOn() throws Exception {
    List<CompletableFuture<Answer>> running = bothRunning();
    assertThat(admin("POST", "/sleep?mode=keep&level=1").status()).isEqualTo(200);
    assertThat(admin("GET", "/is_paused").json().get("is_paused").asBoolean()).isTrue();
    for (int engine = 0; engine < 2; engine++) {
      assertThat(ofEngine("vllm:kv_cache_usage_perc", engine)).isZero();
    }
    assertThat(running).noneMatch(CompletableFuture::isDone);
    assertThat(admin("POST", "/resume").status()).as("they sleep").isEqualTo(400);
    assertThat(admin("POST", "/wake_up").status()).isEqualTo(200);
    assertThat(admin("GET", "/is_paused").json().get("is_paused").asBoolean()).isFalse();
    List<Integer> first = ids(running.get(0).get(30, TimeUnit.SECONDS));
    assertThat(first).hasSize(TOKENS);
    assertThat(ids(running.get(1).get(30, TimeUnit.SECONDS))).isEqualTo(first);
  }

  @Test
  void abort_reachesBoth() throws Exception {
    List<CompletableFuture<Answer>> running = bothRunning();
    HttpRequest abort =
        HttpRequest.newBuilder(URI.create(server.baseUrl() + "/abort_requests"))
            .header("Authorization", "Bearer key")
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{}"))
            .build();
    assertThat(http.send(abort, BodyHandlers.ofString()).statusCode()).isEqualTo(200);
    for (CompletableFuture<Answer> one : running) {
      JsonNode answer = one.get(30, TimeUnit.SECONDS).json();
      assertThat(answer.at("/choices/0/finish_reason").asText()).isEqualTo("abort");
    }
  }

  @Test
  void reset_forgetsThePrefixesOfBoth() throws Exception {
    List<String> prompts = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      prompts.add((i + " is the number of this prompt, which is read again. ").repeat(6));
    }
    prompts.forEach(prompt -> client.post("/v1/completions", body(prompt, 0, 1)));
    server.awaitIdle();
    assertThat(admin("POST", "/reset_prefix_cache").json().get("success").asBoolean()).isTrue();
    for (String prompt : prompts) {
      JsonNode usage = client.post("/v1/completions", body(prompt, 0, 1)).json().get("usage");
      assertThat(usage.at("/prompt_tokens_details/cached_tokens").asInt()).isZero();
    }
    assertThat(ofEngine("vllm:prompt_tokens_total", 0)).isPositive();
    assertThat(ofEngine("vllm:prompt_tokens_total", 1)).isPositive();
  }

  @Test
  void adapter_loadedAtRunTime_answersFromBothAndGoesFromBoth() throws Exception {
    Map<String, Object> load =
        Map.of("lora_name", "french", "lora_path", ADAPTERS.resolve("french").toString());
    assertThat(client.post("/v1/load_lora_adapter", load, "key").status()).isEqualTo(200);
    JsonNode golden = cases("logits-lora-french.json").getFirst();
    double[] before = {tokensOf(0), tokensOf(1)};
    Map<String, Object> french = body(ints(cases("logits.json").getFirst().get("ids")), 0, 64);
    french.put("model", "french");
    List<CompletableFuture<Answer>> answers = new ArrayList<>();
    for (int i = 0; i < 24; i++) { // its prompt is cached where the first is, until that is busy
      answers.add(async(french));
    }
    for (CompletableFuture<Answer> one : answers) {
      assertThat(ids(one.get(30, TimeUnit.SECONDS))).isEqualTo(ints(golden.at("/greedy/ids")));
    }
    assertThat(tokensOf(0)).isGreaterThan(before[0]);
    assertThat(tokensOf(1)).isGreaterThan(before[1]);
    assertThat(
            client.post("/v1/unload_lora_adapter", Map.of("lora_name", "french"), "key").status())
        .isEqualTo(200);
    ClusterFixture.await( // the answer may come before another event loop has been told
        () -> client.post("/v1/completions", french).status() == 404, "the adapter goes");
  }

  /** A long answer by each engine, both of the same prompt, and begun. */
  private static List<CompletableFuture<Answer>> bothRunning() {
    Map<String, Object> body = body("A car is", 0.9, TOKENS);
    body.put("ignore_eos", true);
    List<CompletableFuture<Answer>> running = List.of(async(body), async(body));
    while (ofEngine("vllm:num_requests_running", 0) == 0
        || ofEngine("vllm:num_requests_running", 1) == 0) {
      Thread.onSpinWait();
    }
    return running;
  }
}
