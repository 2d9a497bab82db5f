package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.ClusterFixture.Node;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * Three engines and two ingresses, each a process: whatever happens to an engine, every client gets
 * the golden answer. The tests follow each other on one cluster, and what one of them kills the
 * next one has again. Costs about a minute: four JVMs start on whatever cores there are, a stopped
 * node must be silent for four seconds to be gone, and one that is to be thrown out for ten.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ClusterIT {
  private static final int STREAMS = Integer.getInteger("verdier.cluster.streams", 48);
  private static final long STOP_SECONDS = Integer.getInteger("verdier.cluster.stop.seconds", 13);
  private static final double RECOVERY_SECONDS_MAX = 5;
  private static final int TOKENS = 120;

  private static ClusterFixture cluster;
  private static final List<Node> engines = new ArrayList<>();
  private static Node ingress;
  private static Map<Integer, String> golden;
  private static final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private static final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

  @BeforeAll
  static void start() throws Exception {
    cluster =
        ClusterFixture.of(
            5,
            "--cluster-secret=a secret of the test's own",
            "--backend=cpu",
            "--threads=1",
            "--max-model-len=512",
            "--num-gpu-blocks-override=800");
    for (int i = 1; i <= 3; i++) {
      engines.add(cluster.add("engine-" + i, "engine,cache"));
    }
    ingress = cluster.add("ingress-1", "http");
    try {
      cluster.awaitReady(4);
      golden = texts(new Load(ingress).awaitEnd());
    } catch (Exception | AssertionError failed) {
      throw new AssertionError(cluster.output(), failed);
    }
  }

  @AfterAll
  static void stop() {
    cluster.close();
    threads.shutdownNow();
  }

  /**
   * The requests, by number: greedy, sampled with a seed, guided, several choices, stop strings.
   */
  private static Map<String, Object> request(int number) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("stream", true);
    body.put("stream_options", Map.of("include_usage", true));
    body.put("max_tokens", TOKENS);
    body.put("prompt", "Story number " + number + ": a small bird");
    body.put("ignore_eos", true);
    switch (number % 6) {
      case 0 -> body.put("temperature", 0);
      case 1 -> body.put("seed", number);
      case 2 -> {
        body.put("seed", number);
        body.put("structured_outputs", Map.of("regex", "([a-z]{3,9} ){30}end"));
      }
      case 3 -> {
        body.put("seed", number);
        body.put("n", 2);
        body.put("max_tokens", TOKENS / 2);
      }
      case 4 -> {
        body.put("seed", number);
        body.put("presence_penalty", 1.5);
        body.put("stop", List.of("zzzz", "never said"));
      }
      default -> {
        body.put("seed", number);
        body.put("logprobs", 2);
        body.put("max_tokens", TOKENS / 2);
      }
    }
    return body;
  }

  /** What one client got, in canonical form, and its longest wait. */
  private record Got(int status, String text, int completionTokens, double longestGapSeconds) {}

  /** All requests at once. Owned by the test's thread. */
  private static final class Load {
    private final Map<Integer, Future<Got>> clients = new TreeMap<>();
    private final AtomicInteger begun = new AtomicInteger();

    Load(Node node) {
      for (int number = 0; number < STREAMS; number++) {
        int own = number;
        clients.put(number, threads.submit(() -> stream(node.process.baseUrl(), own, begun)));
      }
    }

    /** Waits until all streams are in their midst. */
    Load awaitBegun() {
      ClusterFixture.await(() -> begun.get() == STREAMS, "streams that have begun");
      return this;
    }

    Map<Integer, Got> awaitEnd() throws Exception {
      Map<Integer, Got> all = new TreeMap<>();
      for (Map.Entry<Integer, Future<Got>> client : clients.entrySet()) {
        all.put(client.getKey(), client.getValue().get(90, TimeUnit.SECONDS));
      }
      return all;
    }
  }

  private static Got stream(String baseUrl, int number, AtomicInteger begun) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(baseUrl + "/v1/completions"))
            .header("Content-Type", "application/json")
            .POST(
                HttpRequest.BodyPublishers.ofString(
                    Client.JSON.writeValueAsString(request(number))))
            .build();
    HttpResponse<Stream<String>> response = http.send(request, HttpResponse.BodyHandlers.ofLines());
    TreeMap<Integer, StringBuilder> choices = new TreeMap<>();
    String usage = "";
    int completionTokens = 0;
    long last = System.nanoTime();
    long longest = 0;
    int events = 0;
    boolean isDone = false;
    for (String line : (Iterable<String>) response.body()::iterator) {
      if (!line.startsWith("data: ")) {
        continue;
      }
      long now = System.nanoTime();
      longest = Math.max(longest, now - last);
      last = now;
      isDone = line.equals("data: [DONE]");
      if (isDone) {
        break;
      }
      JsonNode event = Client.JSON.readTree(line.substring(6));
      if (event.has("error") || !event.has("choices")) {
        return new Got(response.statusCode(), line, 0, longest / 1e9);
      }
      for (JsonNode choice : event.get("choices")) {
        StringBuilder text =
            choices.computeIfAbsent(choice.get("index").asInt(), any -> new StringBuilder());
        text.append(choice.get("text").asText());
        if (!choice.path("logprobs").isMissingNode() && !choice.get("logprobs").isNull()) {
          text.append(choice.at("/logprobs/token_logprobs"));
        }
        if (!choice.path("finish_reason").isNull()) {
          text.append('|').append(choice.get("finish_reason").asText());
        }
      }
      if (event.hasNonNull("usage")) {
        completionTokens = event.at("/usage/completion_tokens").asInt();
        usage = event.at("/usage/prompt_tokens") + "+" + completionTokens;
      }
      if (++events == 5) {
        begun.incrementAndGet();
      }
    }
    String text = choices + usage + (isDone ? "" : " cut short");
    return new Got(response.statusCode(), text, completionTokens, longest / 1e9);
  }

  private static Map<Integer, String> texts(Map<Integer, Got> all) {
    Map<Integer, String> texts = new TreeMap<>();
    all.forEach((number, got) -> texts.put(number, got.status() + " " + got.text()));
    return texts;
  }

  private static void assertGolden(Map<Integer, Got> all) {
    assertThat(texts(all)).as(() -> cluster.output()).isEqualTo(golden);
  }

  private static double longestGap(Map<Integer, Got> all) {
    return all.values().stream().mapToDouble(Got::longestGapSeconds).max().orElseThrow();
  }

  /** The engine that has most of the work. */
  private static Node busiest() {
    Node most = engines.getFirst();
    for (Node engine : engines) {
      if (ClusterFixture.live(ingress, engine.name) > ClusterFixture.live(ingress, most.name)) {
        most = engine;
      }
    }
    return most;
  }

  @Test
  @Order(1)
  void requests_undisturbed_areWholeAndShared() throws Exception {
    assertThat(golden.values()).allMatch(text -> text.startsWith("200 "), "status 200");
    assertThat(golden.values()).noneMatch(text -> text.contains("error"), "an error");
    Load load = new Load(ingress).awaitBegun();
    int busy = 0;
    for (Node engine : engines) {
      busy += engine.metric("vllm:num_requests_running") > 0 ? 1 : 0;
    }
    assertThat(busy).as("engines at work").isEqualTo(3);
    assertGolden(load.awaitEnd());
  }

  @Test
  @Order(2)
  void engine_killedInMidStream_everyAnswerIsGolden() throws Exception {
    double tokensBefore = ingress.metric("vllm:generation_tokens_total");
    Load load = new Load(ingress).awaitBegun();
    Node victim = busiest();
    assertThat(victim.metric("vllm:num_requests_running")).isPositive();
    victim.process.kill();
    Map<Integer, Got> all = load.awaitEnd();

    assertGolden(all);
    assertThat(longestGap(all)).as("recovery").isLessThan(RECOVERY_SECONDS_MAX);
    assertThat(ingress.metric("verdier:cluster_migrations_total")).isPositive();
    int told = all.values().stream().mapToInt(Got::completionTokens).sum();
    assertThat(ingress.metric("vllm:generation_tokens_total") - tokensBefore)
        .as("tokens are counted once")
        .isEqualTo(told);
    report("kill -9", all);
    victim.restart();
    cluster.awaitReady(4);
  }

  @Test
  @Order(3)
  void engine_stoppedAndContinued_everyAnswerIsGoldenAndTheNodeComesBack() throws Exception {
    Load load = new Load(ingress).awaitBegun();
    Node victim = busiest();
    long stopped = System.nanoTime();
    victim.process.signal("STOP");
    Map<Integer, Got> all = load.awaitEnd();
    report("SIGSTOP", all);
    assertGolden(all);
    assertThat(longestGap(all)).as("recovery").isLessThan(RECOVERY_SECONDS_MAX + 1);
    while (System.nanoTime() - stopped < TimeUnit.SECONDS.toNanos(STOP_SECONDS)) {
      Thread.sleep(100);
    }
    victim.process.signal("CONT");
    ClusterFixture.await(() -> ClusterFixture.serving(ingress) == 4, "the node comes back");
    ClusterFixture.await(
        () -> victim.metric("vllm:num_requests_running") == 0, "its old work is dropped");
    assertGolden(new Load(ingress).awaitEnd());
  }

  @Test
  @Order(4)
  void ingress_killed_enginesDropItsWork() throws Exception {
    Node second = cluster.add("ingress-2", "http");
    cluster.awaitReady(5);
    Load own = new Load(second).awaitBegun();
    second.process.kill();
    long killed = System.nanoTime();
    ClusterFixture.await(
        () -> engines.stream().allMatch(it -> it.metric("vllm:num_requests_running") == 0),
        "orphaned work is dropped");
    assertThat(System.nanoTime() - killed).isLessThan(TimeUnit.SECONDS.toNanos(5));
    own.clients.values().forEach(client -> client.cancel(true));
    second.restart();
    cluster.awaitReady(5);
  }

  @Test
  @Order(5)
  void engines_restartedOneByOneUnderLoad_everyAnswerIsGolden() throws Exception {
    List<Load> loads = new ArrayList<>(List.of(new Load(ingress)));
    for (Node engine : engines) {
      loads.getLast().awaitBegun();
      engine.process.terminate();
      loads.add(new Load(ingress));
      assertThat(engine.process.exitStatus()).as(engine.process::output).isZero();
      engine.restart();
      engine.process.awaitReady();
    }
    for (Load load : loads) {
      assertGolden(load.awaitEnd());
    }
  }

  private static void report(String what, Map<Integer, Got> all) {
    System.out.printf(
        "%s: %d streams, longest gap %.2f s, %.0f migrations, %.0f late news%n",
        what,
        all.size(),
        longestGap(all),
        ingress.metric("verdier:cluster_migrations_total"),
        ingress.metric("verdier:cluster_late_news_total"));
  }
}
