package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.ClusterFixture.Node;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.hawkular.agent.prometheus.types.MetricFamily;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * Two engines, a node that keeps their blocks and an ingress that gives requests to the engines in
 * turn, processes of their own. Every answer is compared with that of a server which keeps nothing.
 */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class CacheNodeIT {
  private static final int LENGTH = 200;
  private static final int CACHED = 192;
  private static final String MODEL = "--max-model-len=256";

  private static InProcessServer cold;
  private static ClusterFixture cluster;
  private static Node ingress;
  private static Node store;
  private static final List<Node> engines = new ArrayList<>();

  @BeforeAll
  static void start() {
    cold = InProcessServer.start(MODEL, "--no-enable-prefix-caching", "--threads=1");
    cluster =
        ClusterFixture.of(
            4,
            "--cluster-secret=a secret of the test's own",
            "--cluster-routing-policy=round-robin",
            "--enable-prompt-tokens-details",
            "--cluster-cache-timeout=20"); // the machine may be busy
    for (String name : List.of("engine-1", "engine-2")) {
      engines.add(
          cluster.add(
              name,
              "engine",
              MODEL,
              "--threads=1",
              "--num-gpu-blocks-override=40",
              "--kv-offloading-size=0.02"));
    }
    store = cluster.add("store", "cache", "--kv-offloading-size=0.1");
    ingress = cluster.add("ingress", "http");
    awaitAll();
  }

  @AfterAll
  static void stop() {
    cluster.close();
    cold.close();
  }

  private static void awaitAll() {
    try {
      cluster.awaitReady(4);
      for (Node engine : engines) { // it may lose sight of it and find it again
        ClusterFixture.await(() -> knowsStore(engine), "an engine does not find the cache node");
      }
    } catch (AssertionError failed) {
      throw new AssertionError(cluster.output(), failed);
    }
  }

  /** Whether an engine, if it is its turn, asks the cache node for what it has not seen. */
  private static boolean knowsStore(Node engine) {
    double before = tier(engine, "queries");
    ask(ingress.client(), new SplittableRandom().nextInt(1 << 20, 1 << 30), "");
    return tier(engine, "queries") > before;
  }

  /** What a client gets. */
  record Answer(List<Integer> tokens, int cached) {}

  static Answer ask(Client client, int prompt, String salt) {
    Map<String, Object> body = new LinkedHashMap<>();
    body.put("prompt", new SplittableRandom(prompt).ints(LENGTH, 1, 4000).toArray());
    body.put("max_tokens", 6);
    body.put("temperature", 0);
    body.put("ignore_eos", true);
    body.put("return_token_ids", true);
    if (!salt.isEmpty()) {
      body.put("cache_salt", salt);
    }
    Client.Answer answer = client.post("/v1/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    List<Integer> tokens = new ArrayList<>();
    for (JsonNode id : answer.json().at("/choices/0/token_ids")) {
      tokens.add(id.asInt());
    }
    int cached = answer.json().at("/usage/prompt_tokens_details/cached_tokens").asInt();
    return new Answer(tokens, cached);
  }

  private static List<Integer> expected(int prompt) {
    return ask(new Client(cold.baseUrl()), prompt, "").tokens;
  }

  static double tier(Node engine, String metric) {
    String name = "verdier:prefix_tier_" + metric + "_total{";
    return engine
        .client()
        .get("/metrics")
        .body()
        .lines()
        .filter(line -> line.startsWith(name) && line.contains("tier=\"remote\""))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  private static double sum(String metric) {
    return engines.stream().mapToDouble(engine -> tier(engine, metric)).sum();
  }

  private static JsonNode room() {
    return ClusterFixture.told(ingress, "store").path("room");
  }

  /** Of a block in every tier: all blocks of the cache node are of one model. */
  private static long blockBytes() {
    ClusterFixture.await(() -> room().path("blocks").asLong() > 0, "nothing is kept");
    return room().get("bytes_used").asLong() / room().get("blocks").asLong();
  }

  /** Waits until what engines have sent has arrived and is told. */
  private static void awaitKept(double bytes) {
    ClusterFixture.await(() -> sum("bytes_in") >= bytes, "the blocks are not brought");
  }

  @Test
  @Order(1)
  void prompt_thatOneEngineHasRead_isFoundByTheOther() {
    List<Integer> expected = expected(1);
    double bytes = sum("bytes_in");
    Answer unseen = ask(ingress.client(), 1, "");
    awaitKept(bytes + 12L * blockBytes());
    double hits = sum("hits");

    Answer elsewhere = ask(ingress.client(), 1, "");

    assertThat(unseen).isEqualTo(new Answer(expected, 0));
    assertThat(elsewhere).isEqualTo(new Answer(expected, CACHED));
    assertThat(sum("hits") - hits).isEqualTo(CACHED);
    assertThat(sum("bytes_out")).isPositive();
    assertThat(sum("load_seconds")).isPositive();
    assertThat(room().get("bytes_total").asLong()).isEqualTo((long) (0.1 * (1L << 30)));
    assertThat(room().get("bytes_used").asLong())
        .isPositive()
        .isLessThanOrEqualTo(room().get("bytes_total").asLong());
  }

  @Test
  @Order(2)
  void cacheNode_asANode_saysHowItIs() {
    assertThat(store.client().get("/health").status()).isEqualTo(200);
    assertThat(store.metric("verdier:cluster_cache_blocks")).isPositive();
    assertFamiliesAreThoseOfTheTable();
    assertThat(store.status().get("nodes")).hasSize(4);
    assertThat(ClusterFixture.told(ingress, "store").get("roles").toString())
        .isEqualTo("[\"cache\"]");
    assertThat(store.client().get("/v1/models").json().get("data")).isEmpty();
    Client.Answer refused = store.client().post("/v1/completions", Map.of("prompt", "x"));
    assertThat(refused.status()).isEqualTo(404);
  }

  private static void assertFamiliesAreThoseOfTheTable() {
    Map<String, MetricFamily> found = new LinkedHashMap<>();
    for (MetricFamily family : Scrape.of(store.baseUrl()).families().values()) {
      if (family.getName().startsWith("verdier:cluster_cache_")) {
        found.put(family.getName(), family);
      }
    }
    List<MetricFamilies.Row> wanted = MetricFamilies.ofCacheNodes();
    assertThat(found.keySet())
        .containsExactlyInAnyOrderElementsOf(
            wanted.stream().map(MetricFamilies.Row::name).toList());
    for (MetricFamilies.Row row : wanted) {
      MetricFamily family = found.get(row.name());
      assertThat(family.getType().name()).isEqualToIgnoringCase(row.type());
      assertThat(family.getMetrics().get(0).getLabels().keySet()).isEqualTo(row.labels().keySet());
    }
  }

  @Test
  @Order(3)
  void prompt_ofAnotherSalt_isNotFound() {
    double bytes = sum("bytes_in");
    Answer own = ask(ingress.client(), 2, "a");
    awaitKept(bytes + 12L * blockBytes());
    double hits = sum("hits");
    Answer foreign = ask(ingress.client(), 2, "b");
    Answer none = ask(ingress.client(), 2, "");

    assertThat(foreign).isEqualTo(new Answer(own.tokens, 0));
    assertThat(none).isEqualTo(foreign);
    assertThat(sum("hits")).isEqualTo(hits);
  }

  @Test
  @Order(4)
  void engine_killedAndStartedAnew_findsWhatItHadRead() {
    double bytes = sum("bytes_in");
    List<Integer> expected = expected(3);
    assertThat(ask(ingress.client(), 3, "").tokens).isEqualTo(expected);
    awaitKept(bytes + 12L * blockBytes());
    for (Node engine : engines) {
      engine.process.kill();
      assertThat(engine.process.exitStatus()).isNotZero();
      engine.restart();
    }
    awaitAll();

    Answer again = ask(ingress.client(), 3, "");

    assertThat(again).isEqualTo(new Answer(expected, CACHED));
    assertThat(sum("hits")).isEqualTo(CACHED);
  }

  /** Where a cache node listens for engines. */
  static int port(Node store) {
    Matcher port =
        Pattern.compile("find this cache node at port (\\d+)").matcher(store.process.output());
    assertThat(port.find()).isTrue();
    return Integer.parseInt(port.group(1));
  }

  @Test
  @Order(5)
  void stranger_atThePortOfTheCacheNode_getsNothingAndDoesNoHarm() throws IOException {
    int number = port(store);
    for (int i = 0; i < 20; i++) {
      try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), number)) {
        socket.setSoTimeout(60_000);
        byte[] opening = "VDKV\0\0\0\1".getBytes(StandardCharsets.US_ASCII);
        socket.getOutputStream().write(opening);
        socket.getOutputStream().write(new byte[32 + 500]);
        assertThat(socket.getInputStream().readAllBytes()).hasSizeLessThanOrEqualTo(40);
      } catch (SocketException reset) {
        // it was closed before all was read
      }
    }
    prompt_thatIsShared_isAnswered(4);
  }

  private void prompt_thatIsShared_isAnswered(int prompt) {
    double bytes = sum("bytes_in");
    List<Integer> expected = expected(prompt);
    assertThat(ask(ingress.client(), prompt, "")).isEqualTo(new Answer(expected, 0));
    awaitKept(bytes + 12L * blockBytes());
    ClusterFixture.await( // its last blocks may be on their way
        () -> ask(ingress.client(), prompt, "").cached == CACHED, "it is not found");
    assertThat(ask(ingress.client(), prompt, "").tokens).isEqualTo(expected);
  }

  @Test
  @Order(6)
  void cacheNode_killedInTheMiddleOfTheLoad_everyAnswerIsRight() throws Exception {
    Map<Integer, List<Integer>> expected = new LinkedHashMap<>();
    for (int prompt = 100; prompt < 108; prompt++) {
      expected.put(prompt, expected(prompt));
    }
    underLoad(expected, () -> store.process.kill());
    assertThat(store.process.exitStatus()).isNotZero();
    store.restart();
    awaitAll();
    prompt_thatIsShared_isAnswered(5);

    underLoad(expected, () -> store.process.signal("STOP"));
    store.process.signal("CONT");
    ClusterFixture.await(() -> ClusterFixture.serving(ingress) == 4, "it does not come back");
    awaitAll();
    prompt_thatIsShared_isAnswered(6);
  }

  /** All prompts again and again by several clients, while something happens. */
  private static void underLoad(Map<Integer, List<Integer>> expected, Runnable fault)
      throws Exception {
    List<Future<List<Integer>>> answers = new ArrayList<>();
    List<Integer> prompts = new ArrayList<>();
    try (ExecutorService clients = Executors.newFixedThreadPool(4)) {
      for (int round = 0; round < 5; round++) {
        for (int prompt : expected.keySet()) {
          prompts.add(prompt);
          answers.add(clients.submit(() -> ask(ingress.client(), prompt, "").tokens));
        }
      }
      answers.get(7).get(300, TimeUnit.SECONDS);
      assertThat(answers.getLast().isDone()).as("there is something left to do").isFalse();
      fault.run();
      for (int i = 0; i < answers.size(); i++) {
        assertThat(answers.get(i).get(300, TimeUnit.SECONDS))
            .isEqualTo(expected.get(prompts.get(i)));
      }
    }
  }

  @Test
  @Order(7)
  void cacheNode_drained_isLeftAloneAndTakenBack() {
    wish("drain");
    ClusterFixture.await(
        () -> ClusterFixture.told(ingress, "store").get("draining").asBoolean(), "not drained");
    ClusterFixture.await( // engines hear of it a moment later
        () -> {
          double queries = sum("queries");
          ask(ingress.client(), new SplittableRandom().nextInt(1 << 20, 1 << 30), "");
          return sum("queries") == queries;
        },
        "engines ask one that drains");
    wish("resume");
    awaitAll();
    prompt_thatIsShared_isAnswered(7);
    store.process.terminate();
    assertThat(store.process.exitStatus()).isZero();
    assertThat(ask(ingress.client(), 7, "").tokens).isEqualTo(expected(7));
  }

  private static void wish(String what) {
    Client.Answer answer =
        ingress.client().wish("/cluster/nodes/store/" + what, ClusterFixture.ADMIN);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
  }
}
