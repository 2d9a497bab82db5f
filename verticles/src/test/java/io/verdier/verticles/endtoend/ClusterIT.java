package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.ClusterFixture.Node;
import io.verdier.verticles.endtoend.ClusterLoad.Got;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.hawkular.agent.prometheus.types.MetricFamily;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;

/**
 * Three engines and two ingresses, each a process: whatever happens to an engine, every client gets
 * the golden answer. The tests follow each other on one cluster, and what one of them kills the
 * next one has again. Costs a bit more than a minute: JVMs start on whatever cores there are, a
 * stopped node must be silent for four seconds to be gone, and one that is to be thrown out for
 * ten. {@code -Dverdier.cluster.streams=200 -Dverdier.cluster.stop.seconds=30} are the full sizes.
 */
@Tag("alone")
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ClusterIT {
  private static final int STREAMS = Integer.getInteger("verdier.cluster.streams", 20);
  private static final long STOP_SECONDS = Integer.getInteger("verdier.cluster.stop.seconds", 13);
  private static final double RECOVERY_SECONDS_MAX = 5;
  private static final double ORPHANED_SECONDS_MAX = 5;
  private static final double BACK_SECONDS_MAX = 15;
  private static final int TOKENS = 240; // of the longest, so that they last while one is ended

  private static ClusterFixture cluster;
  private static final List<Node> engines = new ArrayList<>();
  private static final List<Node> ingresses = new ArrayList<>();
  private static Node ingress;
  private static Map<Integer, String> golden;

  @BeforeAll
  static void start() throws Exception {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--cluster-secret=a secret of the test's own",
                "--backend=cpu",
                "--threads=1",
                "--max-model-len=512",
                "--num-gpu-blocks-override=1600"));
    flags.addAll(ClusterRequests.FLAGS);
    cluster = ClusterFixture.of(5, flags.toArray(String[]::new));
    // Two engines let nothing end when they are drained, one has all the time that it wants.
    engines.add(cluster.add("engine-1", "engine,cache", "--drain-timeout=0"));
    engines.add(cluster.add("engine-2", "engine,cache", "--drain-timeout=0"));
    engines.add(cluster.add("engine-3", "engine,cache", "--drain-timeout=90"));
    ingress = cluster.add("ingress-1", "http");
    ingresses.add(ingress);
    try {
      cluster.awaitReady(4);
      golden = ClusterLoad.texts(load(ingress).awaitEnd());
    } catch (Exception | AssertionError failed) {
      throw new AssertionError(cluster.output(), failed);
    }
  }

  @AfterAll
  static void stop() {
    cluster.close();
  }

  private static ClusterLoad load(Node node) {
    return ClusterLoad.at(node, STREAMS, TOKENS);
  }

  private static void assertGolden(Map<Integer, Got> all) {
    assertThat(ClusterLoad.texts(all)).as(() -> cluster.output()).isEqualTo(golden);
  }

  /** The engine that has most of the work. */
  private static Node busiest() {
    Map<String, Integer> live = new HashMap<>();
    for (JsonNode node : ingress.status().get("nodes")) {
      live.put(node.get("name").asText(), node.at("/load/live").asInt());
    }
    return Collections.max(
        engines, Comparator.comparingInt(engine -> live.getOrDefault(engine.name, 0)));
  }

  private static double steps(Node engine) {
    return engine.metric("vllm:iteration_tokens_total_count");
  }

  private static double migrations() {
    return ingress.metric("verdier:cluster_migrations_total");
  }

  private static double secondsSince(long nanos) {
    return (System.nanoTime() - nanos) / 1e9;
  }

  private static void wish(Node node, String what) {
    Client.Answer answer =
        ingress.client().wish("/cluster/nodes/" + node.name + "/" + what, ClusterFixture.ADMIN);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
  }

  @Test
  @Order(1)
  void requests_undisturbed_areWholeAndShared() throws Exception {
    assertThat(golden.values()).allMatch(text -> text.startsWith("200 "), "status 200");
    assertThat(golden.values()).noneMatch(text -> text.contains("error"), "an error");
    assertThat(golden.get(6)).startsWith("200 {0={\"words\"");
    assertThat(golden.get(7)).startsWith("200 {0=note{\"words\"");
    assertThat(golden.get(8)).contains("|stop");
    List<Double> before = engines.stream().map(ClusterIT::steps).toList();
    assertGolden(load(ingress).awaitEnd());
    for (int i = 0; i < engines.size(); i++) {
      assertThat(steps(engines.get(i))).as(engines.get(i).name).isGreaterThan(before.get(i));
    }
  }

  @Test
  @Order(2)
  void metrics_ofClusters_areThoseOfTheTable() {
    Map<String, String> wanted = new LinkedHashMap<>();
    MetricFamilies.ofClusters().forEach(row -> wanted.put(row.name(), row.type()));
    Map<String, String> found = new LinkedHashMap<>();
    for (MetricFamily family : Scrape.of(ingress.baseUrl()).families().values()) {
      if (family.getName().startsWith("verdier:cluster_")) {
        found.put(family.getName(), family.getType().name().toLowerCase(Locale.ROOT));
      }
    }
    assertThat(found).isNotEmpty().containsExactlyInAnyOrderEntriesOf(wanted);
    assertThat(ingress.metric("verdier:cluster_nodes")).isEqualTo(4);
    Client.Answer page = ingress.client().get("/cluster/ui");
    assertThat(page.status()).isEqualTo(307);
    assertThat(page.header("Location")).hasValue("/cluster.html");
    assertThat(ingress.client().get("/cluster.html").body()).contains("cluster.js");
  }

  @Test
  @Order(3)
  void engine_killedInMidStream_everyAnswerIsGolden() throws Exception {
    double tokensBefore = ingress.metric("vllm:generation_tokens_total");
    ClusterLoad load = load(ingress).awaitBegun();
    Node victim = busiest();
    assertThat(victim.metric("vllm:num_requests_running")).isPositive();
    victim.process.kill();
    Map<Integer, Got> all = load.awaitEnd();

    double tokens = ingress.metric("vllm:generation_tokens_total") - tokensBefore;
    report("kill -9", all);
    victim.restart();
    cluster.awaitReady(4);

    assertGolden(all);
    assertThat(ClusterLoad.longestGap(all)).as("recovery").isLessThan(RECOVERY_SECONDS_MAX);
    assertThat(migrations()).isPositive();
    assertThat(tokens)
        .as("tokens are counted once, as in the usage that clients are told")
        .isEqualTo(all.values().stream().mapToInt(Got::completionTokens).sum());
  }

  @Test
  @Order(4)
  void engine_stoppedAndContinued_everyAnswerIsGoldenAndTheNodeComesBack() throws Exception {
    ClusterLoad load = load(ingress).awaitBegun();
    Node victim = busiest();
    String oldId = ClusterFixture.told(ingress, victim.name).get("id").asText();
    long stopped = System.nanoTime();
    victim.process.signal("STOP");
    try {
      Map<Integer, Got> all = load.awaitEnd();
      report("SIGSTOP", all);
      assertGolden(all);
      assertThat(ClusterLoad.longestGap(all)).as("recovery").isLessThan(RECOVERY_SECONDS_MAX + 1);
      while (System.nanoTime() - stopped < TimeUnit.SECONDS.toNanos(STOP_SECONDS)) {
        Thread.sleep(100);
      }
    } finally {
      victim.process.signal("CONT"); // the tests behind this one need it too
    }
    long continued = System.nanoTime();
    ClusterFixture.await(
        () -> {
          String now = ClusterFixture.told(victim, victim.name).path("id").asText(oldId);
          return !now.equals(oldId) && ClusterFixture.serving(ingress) == 4;
        },
        "the node comes back under a new name");
    System.out.printf("it is back after %.1f s%n", secondsSince(continued));
    assertThat(secondsSince(continued)).as(cluster::output).isLessThan(BACK_SECONDS_MAX);
    ClusterFixture.await(
        () -> victim.metric("vllm:num_requests_running") == 0, "its old work is dropped");
    assertGolden(load(ingress).awaitEnd());
  }

  @Test
  @Order(5)
  void engine_drainedByPost_endsItsStreamsAndGetsNoMore() throws Exception {
    Node drained = engines.getLast();
    ClusterLoad load = load(ingress).awaitBegun();
    double before = migrations();
    wish(drained, "drain");
    ClusterFixture.await(
        () -> ClusterFixture.told(ingress, drained.name).path("draining").asBoolean(),
        "the others know that it drains");
    assertGolden(load.awaitEnd());
    assertThat(migrations()).as("streams that had to move").isEqualTo(before);
    assertThat(drained.client().get("/health").status()).isEqualTo(503);
    double steps = steps(drained);
    assertGolden(load(ingress).awaitEnd());
    assertThat(steps(drained)).isEqualTo(steps);
    wish(drained, "resume");
    ClusterFixture.await(() -> ClusterFixture.serving(ingress) == 4, "it works again");
    ClusterFixture.await(
        () -> drained.client().get("/health").status() == 200, "it says that it is well");
  }

  @Test
  @Order(6)
  void engine_drainDeadlinePasses_theRestGoesOnElsewhere() throws Exception {
    ClusterLoad load = load(ingress).awaitBegun();
    double before = migrations();
    Node drained = // of the two that let nothing end
        inEngine(engines.get(0)) > inEngine(engines.get(1)) ? engines.get(0) : engines.get(1);
    wish(drained, "drain");
    assertGolden(load.awaitEnd());
    assertThat(migrations() - before).isPositive();
    ClusterFixture.await( // on a busy machine others may have been given up too
        () -> ClusterFixture.told(ingress, drained.name).at("/migrations/out").asInt() > 0,
        "the engine counts those that left it");
    wish(drained, "resume");
    ClusterFixture.await(() -> ClusterFixture.serving(ingress) == 4, "it works again");
  }

  @Test
  @Order(7)
  void ingress_killed_itsStreamsBreakAndNoOthers() throws Exception {
    Node second = cluster.add("ingress-2", "http");
    ingresses.add(second);
    cluster.awaitReady(5);
    ClusterLoad own = load(second).awaitBegun();
    ClusterLoad others = load(ingress).awaitBegun();
    second.process.kill();
    long killed = System.nanoTime();
    ClusterFixture.await(
        () -> {
          int wanted = others.unfinished(); // first: it only falls
          return wanted >= engines.stream().mapToDouble(ClusterIT::inEngine).sum();
        },
        "orphaned work is dropped");
    double seconds = secondsSince(killed);
    System.out.printf("orphaned work is dropped after %.1f s%n", seconds);
    assertThat(seconds).as(cluster::output).isLessThan(ORPHANED_SECONDS_MAX);
    assertThat(own.awaitEnd().values()).anyMatch(Got::isBroken);
    assertGolden(others.awaitEnd());
    second.restart();
    cluster.awaitReady(5);
  }

  private static double inEngine(Node engine) {
    return engine.metric("vllm:num_requests_running") + engine.metric("vllm:num_requests_waiting");
  }

  /** As a rolling upgrade does it: a balancer sends new requests to an ingress that is well. */
  @Test
  @Order(8)
  void nodes_restartedOneByOneUnderLoad_everyAnswerIsGolden() throws Exception {
    List<ClusterLoad> loads = new ArrayList<>(List.of(load(ingress)));
    for (Node engine : engines) {
      loads.getLast().awaitBegun();
      engine.process.terminate();
      loads.add(load(ingress));
      assertThat(engine.process.exitStatus()).as(engine.process::output).isZero();
      engine.restart();
      engine.process.awaitReady();
    }
    for (Node leaving : ingresses) {
      Node other = leaving == ingress ? ingresses.getLast() : ingress;
      ClusterFixture.await(() -> ClusterFixture.serving(other) == 5, "all are back");
      loads.add(load(leaving).awaitBegun());
      leaving.process.terminate();
      loads.add(load(other));
      assertThat(leaving.process.exitStatus()).as(leaving.process::output).isZero();
      leaving.restart();
      leaving.process.awaitReady();
    }
    for (ClusterLoad load : loads) {
      assertGolden(load.awaitEnd());
    }
  }

  private static void report(String what, Map<Integer, Got> all) {
    System.out.printf(
        "%s: %d streams, longest gap %.2f s, %.0f migrations, %.0f late news%n",
        what,
        all.size(),
        ClusterLoad.longestGap(all),
        migrations(),
        ingress.metric("verdier:cluster_late_news_total"));
  }
}
