package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.ClusterFixture.Node;
import io.verdier.verticles.endtoend.ClusterFixture.Place;
import io.verdier.verticles.endtoend.ClusterLoad.Got;
import io.verdier.verticles.launch.HangingServer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A step that does not end, in an engine that speaks on as if nothing were: its streams go on at
 * another one, and clients get the golden answers. Takes some 30 s: three nodes start, and a step
 * must take two seconds before it counts as hung.
 */
@Tag("alone")
class ClusterHangIT {
  private static final String RUNNING = "vllm:num_requests_running";
  private static final int STREAMS = 10; // one of each kind
  private static final int TOKENS = 240; // so that no stream ends before all have begun
  private static final double HANG_SECONDS = 2;

  /** The time that counts, a second until it is told, and what it takes to go on. */
  private static final double GAP_SECONDS_MAX = HANG_SECONDS + 1 + 3;

  @TempDir Path directory;

  @Test
  void engine_stepHangs_everyAnswerIsGoldenAndTheEngineComesBack() throws Exception {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--cluster-secret=a secret of the test's own",
                "--backend=cpu",
                "--threads=1",
                "--max-model-len=512",
                "--num-gpu-blocks-override=1600",
                "--cluster-hang-timeout=" + (int) HANG_SECONDS));
    flags.addAll(ClusterRequests.FLAGS);
    Path hang = directory.resolve("hang");
    try (ClusterFixture cluster = ClusterFixture.of(3, flags.toArray(String[]::new))) {
      Node ingress = cluster.add("ingress", "http");
      cluster.add("well", "engine");
      Place here = new Place(HangingServer.prefix(hang), "127.0.0.1", "127.0.0.1");
      Node victim = cluster.add("victim", "engine", here);
      cluster.awaitReady(3);
      Map<Integer, String> golden = ClusterLoad.texts(load(ingress).awaitEnd());
      assertThat(golden.values()).allMatch(text -> text.startsWith("200 "), "status 200");

      ClusterLoad load = load(ingress).awaitBegun();
      assertThat(victim.metric(RUNNING)).isPositive();
      double before = ingress.metric("verdier:cluster_migrations_total");
      Files.createFile(hang);
      Map<Integer, Got> all = load.awaitEnd();
      double moved = ingress.metric("verdier:cluster_migrations_total") - before;
      System.out.printf(
          "hung step: longest gap %.2f s, %.0f migrations%n", ClusterLoad.longestGap(all), moved);
      assertThat(ClusterLoad.texts(all)).as(cluster::output).isEqualTo(golden);
      assertThat(moved).isPositive();
      assertThat(ClusterLoad.longestGap(all)).isBetween(HANG_SECONDS, GAP_SECONDS_MAX);
      JsonNode told = ClusterFixture.told(ingress, "victim");
      assertThat(told.get("silent_ms").asInt()).as("it speaks on: %s", told).isLessThan(3000);
      assertThat(told.get("phase").asText()).isEqualTo("serving");
      assertThat(ClusterLoad.texts(load(ingress).awaitEnd()))
          .as("without the hung engine")
          .isEqualTo(golden);

      Files.delete(hang);
      ClusterFixture.await(
          () -> ClusterFixture.live(ingress, "victim") == 0, "it drops what has moved");
      ClusterLoad after = load(ingress).awaitBegun();
      assertThat(victim.metric(RUNNING)).as("it gets work again").isPositive();
      assertThat(ClusterLoad.texts(after.awaitEnd())).isEqualTo(golden);
    }
  }

  private static ClusterLoad load(Node node) {
    return ClusterLoad.at(node, STREAMS, TOKENS);
  }
}
