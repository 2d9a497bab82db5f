package io.verdier.verticles.endtoend;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Operators stop a whole server, on the demo model, and let it go on. Costs some 5 s. */
class EngineControlIT {
  private static final int TOKENS = 400;

  private static InProcessServer server;
  private static Client client;
  private static List<Integer> undisturbed;

  private final HttpClient http = HttpClient.newHttpClient();

  @BeforeAll
  static void start() {
    server = InProcessServer.start("--admin-api-key=key", "--enable-prompt-tokens-details");
    client = new Client(server.baseUrl());
    undisturbed = ids(client.post("/v1/completions", body(TOKENS)));
    assertThat(undisturbed).hasSize(TOKENS);
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  @AfterEach
  void goOn() {
    assertThat(admin("POST", "/wake_up").status()).isEqualTo(200);
    server.awaitIdle();
  }

  private static Map<String, Object> body(int tokens) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", "A car, or a motor car, is a vehicle with four wheels that runs on roads");
    body.put("max_tokens", tokens);
    body.put("seed", 7);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    return body;
  }

  private static List<Integer> ids(Answer answer) {
    List<Integer> ids = new ArrayList<>();
    answer.json().at("/choices/0/token_ids").forEach(id -> ids.add(id.asInt()));
    return ids;
  }

  private Answer admin(String method, String path) {
    return send(method, path, "key");
  }

  private Answer send(String method, String path, String key) {
    return send(server, method, path, key);
  }

  private Answer send(InProcessServer to, String method, String path, String key) {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(to.baseUrl() + path))
            .header("Authorization", "Bearer " + key)
            .method(method, HttpRequest.BodyPublishers.noBody())
            .build();
    try {
      var response = http.send(request, BodyHandlers.ofString());
      return new Answer(response.statusCode(), response.body());
    } catch (java.io.IOException | InterruptedException failed) {
      throw new IllegalStateException(failed);
    }
  }

  private static CompletableFuture<Answer> async(Map<String, Object> body) {
    return CompletableFuture.supplyAsync(() -> client.post("/v1/completions", body));
  }

  /** A long answer that has begun. */
  private static CompletableFuture<Answer> running() {
    CompletableFuture<Answer> running = async(body(TOKENS));
    while (server.metric("vllm:num_requests_running") == 0) {
      Thread.onSpinWait();
    }
    return running;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"/pause?mode=keep", "/sleep?mode=keep&level=1", "/sleep?mode=keep&level=2"})
  void keep_requestsStandAndGoOn_withTheSameTokens(String path) throws Exception {
    CompletableFuture<Answer> running = running();
    assertThat(admin("POST", path).status()).isEqualTo(200);
    CompletableFuture<Answer> later = async(body(5));
    assertThat(admin("GET", "/is_paused").json().get("is_paused").asBoolean()).isTrue();
    assertThat(admin("GET", "/is_sleeping").json().get("is_sleeping").asBoolean()).isTrue();
    while (server.server().liveSequences() < 2) {
      Thread.onSpinWait();
    }
    assertThat(running).isNotDone();
    if (path.startsWith("/sleep")) {
      assertThat(server.metric("vllm:kv_cache_usage_perc")).isZero();
      assertThat(sleeps(path.endsWith("1") ? "weights_offloaded" : "discard_all")).isEqualTo(1);
      assertThat(sleeps("awake")).isZero();
      assertThat(admin("POST", "/resume").status()).isEqualTo(400);
      assertThat(admin("POST", "/wake_up?tags=kv_cache").status()).isEqualTo(200);
      assertThat(later).isNotDone();
      assertThat(admin("POST", "/wake_up?tags=weights").status()).isEqualTo(200);
      assertThat(sleeps("awake")).isEqualTo(1);
    } else {
      assertThat(later).isNotDone();
      assertThat(admin("POST", "/resume").json().get("status").asText()).isEqualTo("resumed");
    }
    assertThat(ids(running.get(30, SECONDS))).isEqualTo(undisturbed);
    assertThat(ids(later.get(30, SECONDS))).isEqualTo(undisturbed.subList(0, 5));
    assertThat(admin("GET", "/is_paused").json().get("is_paused").asBoolean()).isFalse();
  }

  @Test
  void abort_requestsEndWithWhatTheyHave() throws Exception {
    CompletableFuture<Answer> running = running();
    assertThat(admin("POST", "/pause").json().get("status").asText()).isEqualTo("paused");
    Answer answer = running.get(30, SECONDS);
    assertThat(answer.json().at("/choices/0/finish_reason").asText()).isEqualTo("abort");
    List<Integer> ids = ids(answer);
    assertThat(ids).isEqualTo(undisturbed.subList(0, ids.size()));
  }

  @Test
  void wait_requestsRunToTheirEnds_laterOnesWait() throws Exception {
    CompletableFuture<Answer> running = running();
    CompletableFuture<Answer> paused =
        CompletableFuture.supplyAsync(() -> admin("POST", "/pause?mode=wait"));
    assertThat(paused.get(30, SECONDS).status()).isEqualTo(200);
    assertThat(ids(running.get(5, SECONDS))).isEqualTo(undisturbed);
    CompletableFuture<Answer> later = async(body(5));
    while (server.server().liveSequences() < 1) {
      Thread.onSpinWait();
    }
    assertThat(later).isNotDone();
    assertThat(admin("POST", "/resume").status()).isEqualTo(200);
    assertThat(ids(later.get(30, SECONDS))).isEqualTo(undisturbed.subList(0, 5));
  }

  /** Until its deadline a drain would else wait for what nobody lets go on. */
  @ParameterizedTest
  @ValueSource(strings = {"/pause?mode=keep", "/sleep?mode=keep&level=1"})
  void drain_ofAnEngineThatStands_endsWhatStands(String path) throws Exception {
    try (InProcessServer leaving = InProcessServer.start("--admin-api-key=key")) {
      Client its = new Client(leaving.baseUrl());
      CompletableFuture<Answer> standing =
          CompletableFuture.supplyAsync(() -> its.post("/v1/completions", body(TOKENS)));
      while (leaving.metric("vllm:num_requests_running") == 0) {
        Thread.onSpinWait();
      }
      assertThat(send(leaving, "POST", path, "key").status()).isEqualTo(200);
      assertThat(standing).isNotDone();
      boolean ended =
          leaving.server().drain().toCompletionStage().toCompletableFuture().get(20, SECONDS);
      assertThat(ended).isTrue();
      Answer answer = standing.get(5, SECONDS);
      List<Integer> ids = ids(answer);
      boolean goesOn = path.startsWith("/pause");
      assertThat(answer.json().at("/choices/0/finish_reason").asText())
          .isEqualTo(goesOn ? "length" : "abort");
      assertThat(ids).isEqualTo(goesOn ? undisturbed : undisturbed.subList(0, ids.size()));
    }
  }

  @Test
  void reset_cachedPrompts_areForgotten() throws Exception {
    client.post("/v1/completions", body(2));
    server.awaitIdle();
    assertThat(cached()).isPositive();
    server.awaitIdle();
    assertThat(success("")).isTrue();
    assertThat(cached()).isZero();

    CompletableFuture<Answer> running = running();
    assertThat(success("")).isFalse();
    assertThat(success("?reset_running_requests=true")).isTrue();
    assertThat(ids(running.get(30, SECONDS))).isEqualTo(undisturbed);
  }

  private boolean success(String query) {
    return admin("POST", "/reset_prefix_cache" + query).json().get("success").asBoolean();
  }

  private static int cached() {
    JsonNode usage = client.post("/v1/completions", body(2)).json().get("usage");
    return usage.at("/prompt_tokens_details/cached_tokens").asInt();
  }

  private static double sleeps(String state) {
    return Scrape.of(server.baseUrl()).value("vllm:engine_sleep_state", "sleep_state", state);
  }

  @Test
  void control_wrongKeyOrWrongWords_refused() {
    for (String path : List.of("/pause", "/resume", "/sleep", "/wake_up", "/reset_prefix_cache")) {
      assertThat(send("POST", path, "other").status()).as(path).isEqualTo(401);
    }
    assertThat(send("GET", "/is_paused", "other").status()).isEqualTo(401);
    for (String path :
        List.of("/pause?mode=x", "/sleep?level=9", "/sleep?mode=", "/wake_up?tags=x")) {
      assertThat(admin("POST", path).status()).as(path).isEqualTo(400);
    }
    assertThat(admin("GET", "/is_paused").json().get("is_paused").asBoolean()).isFalse();
  }
}
