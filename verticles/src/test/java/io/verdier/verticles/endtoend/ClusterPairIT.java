package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.endtoend.ClusterFixture.Node;
import io.verdier.verticles.endtoend.ClusterFixture.Place;
import io.verdier.verticles.endtoend.ClusterLoad.Got;
import io.verdier.verticles.launch.HangingServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Two nodes that do both, take requests and generate, as they do unless told otherwise: what
 * becomes of an engine's own clients. Costs some 30 s: two nodes start, and a step must take two
 * seconds before it counts as hung.
 */
@Tag("alone")
class ClusterPairIT {
  private static final String RUNNING = "vllm:num_requests_running";
  private static final String WAITING = "vllm:num_requests_waiting";
  private static final String STEPS = "vllm:iteration_tokens_total_count";
  private static final String MIGRATIONS = "verdier:cluster_migrations_total";
  private static final int STREAMS = 10; // one of each kind
  private static final int TOKENS = 240; // so that no stream ends before all have begun
  private static final double HANG_SECONDS = 2;

  /** The time that counts, a second until it is told, and what it takes to go on. */
  private static final double GAP_SECONDS_MAX = HANG_SECONDS + 1 + 3;

  @TempDir static Path directory;

  private static ClusterFixture cluster;
  private static Path hang;
  private static Node one;
  private static Node two;
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
                "--num-gpu-blocks-override=1600",
                "--drain-timeout=0",
                "--cluster-hang-timeout=" + (int) HANG_SECONDS));
    flags.addAll(ClusterRequests.FLAGS);
    hang = directory.resolve("hang");
    cluster = ClusterFixture.of(2, flags.toArray(String[]::new));
    Place hanging = new Place(HangingServer.prefix(hang), "127.0.0.1", "127.0.0.1");
    one = cluster.add("one", "http,engine", hanging);
    two = cluster.add("two", "http,engine");
    try {
      cluster.awaitReady(2);
      golden = ClusterLoad.texts(load(one).awaitEnd());
      assertThat(golden.values()).allMatch(text -> text.startsWith("200 "), "status 200");
    } catch (Exception | AssertionError failed) {
      throw new AssertionError(cluster.output(), failed);
    }
  }

  @AfterAll
  static void stop() {
    cluster.close();
  }

  @AfterEach
  void nothingIsLeft() {
    for (Node node : List.of(one, two)) {
      ClusterFixture.await(
          () -> ClusterFixture.told(node, node.name).at("/load/streams").asInt() == 0,
          "no stream is left at " + node.name);
    }
    ClusterFixture.await(
        () -> ClusterFixture.serving(one) == 2 && ClusterFixture.serving(two) == 2,
        "both work again");
  }

  private static ClusterLoad load(Node node) {
    return ClusterLoad.at(node, STREAMS, TOKENS);
  }

  private static void assertGolden(Map<Integer, Got> all) {
    assertThat(ClusterLoad.texts(all)).as(() -> cluster.output()).isEqualTo(golden);
  }

  private static void wish(Node node, String path) {
    Client.Answer answer = node.client().wish(path, ClusterFixture.ADMIN);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
  }

  private static String phase(Node observer, Node node) {
    return ClusterFixture.told(observer, node.name).path("phase").asText();
  }

  /** What stands there goes on when the operator says so; what comes is done elsewhere. */
  @Test
  void engine_paused_keepsWhatItHasAndGetsNoMore() throws Exception {
    ClusterLoad standing = load(one).awaitBegun();
    assertThat(one.metric(RUNNING)).isPositive();
    double moved = one.metric(MIGRATIONS);
    wish(one, "/pause?mode=keep");
    long paused = System.nanoTime();
    ClusterFixture.await(() -> phase(two, one).equals("paused"), "the other knows it");
    double steps = one.metric(STEPS);
    assertGolden(load(one).awaitEnd());
    assertGolden(load(two).awaitEnd());
    ClusterFixture.await(
        () -> System.nanoTime() - paused > 2 * HANG_SECONDS * 1e9, "longer than a step may take");
    assertThat(ClusterFixture.told(two, "one").path("hung").asBoolean()).isFalse();
    assertThat(one.metric(STEPS)).as("steps of the halted engine").isEqualTo(steps);
    assertThat(standing.unfinished()).isPositive();

    wish(two, "/pause?mode=keep"); // now there is nobody else
    ClusterFixture.await(() -> phase(one, two).equals("paused"), "both are paused");
    ClusterLoad waiting = ClusterLoad.at(one, 1, TOKENS);
    ClusterFixture.await(
        () -> one.metric(WAITING) + two.metric(WAITING) > 0 && waiting.unfinished() == 1,
        "it waits");
    assertThat(one.client().get("/health").status()).isEqualTo(200);
    wish(one, "/resume");
    wish(two, "/resume");
    assertGolden(standing.awaitEnd());
    assertThat(ClusterLoad.texts(waiting.awaitEnd())).containsValue(golden.get(0));
    assertThat(one.metric(MIGRATIONS)).isEqualTo(moved);
  }

  /** Its engine does nothing any more, its HTTP server ends what it has begun. */
  @Test
  void node_drainedWithClientsOfItsOwn_answersThemWhole() throws Exception {
    ClusterLoad load = load(one).awaitBegun();
    assertThat(one.metric(RUNNING)).isPositive();
    wish(two, "/cluster/nodes/one/drain");
    assertGolden(load.awaitEnd());
    ClusterFixture.await(() -> phase(two, one).equals("leaving"), "it has left off");
    wish(two, "/cluster/nodes/one/resume");
  }

  @Test
  void node_stepHangs_itsOwnClientsGoOnElsewhere() throws Exception {
    ClusterLoad load = load(one).awaitBegun();
    assertThat(one.metric(RUNNING)).isPositive();
    Files.createFile(hang);
    Map<Integer, Got> all = load.awaitEnd();
    Files.delete(hang);
    assertGolden(all);
    assertThat(ClusterLoad.longestGap(all)).isBetween(HANG_SECONDS, GAP_SECONDS_MAX);
    ClusterFixture.await(
        () -> ClusterFixture.live(two, "one") == 0, "it drops what has moved when it goes on");
  }
}
