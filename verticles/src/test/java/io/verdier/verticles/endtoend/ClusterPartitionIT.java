package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.verdier.verticles.endtoend.ClusterFixture.Node;
import io.verdier.verticles.endtoend.ClusterLoad.Got;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * A network that falls apart: an ingress and an engine on one side, a node with both roles on the
 * other, each a process, in network namespaces. Skipped where the machine does not let us make
 * them. Costs half a minute, most of it for the time that the network is cut, which must be longer
 * than Hazelcast's patience; {@code -Dverdier.cluster.partition.seconds=60} is the full size.
 */
@Tag("alone")
class ClusterPartitionIT {
  private static final int STREAMS = Integer.getInteger("verdier.cluster.streams", 20);
  private static final long CUT_SECONDS =
      Integer.getInteger("verdier.cluster.partition.seconds", 13);
  private static final double HEALED_SECONDS_MAX = 45;
  private static final int TOKENS = 200;

  private static final Map<String, Object> QUESTION = Map.of("prompt", "Hi", "max_tokens", 3);

  private static void assertGolden(
      ClusterFixture cluster, Map<Integer, Got> all, Map<Integer, String> golden) {
    assertThat(ClusterLoad.texts(all)).as(() -> cluster.output()).isEqualTo(golden);
  }

  private static ClusterLoad load(Node node) {
    return ClusterLoad.at(node, STREAMS, TOKENS);
  }

  @Test
  void network_cutAndHealed_everyAnswerIsGoldenAndTheCutNodeComesBack() throws Exception {
    List<String> problems = new ArrayList<>();
    Optional<NetworkNamespace> made = NetworkNamespace.tryMake(problems);
    assumeTrue(made.isPresent(), "no network namespaces here: " + problems);
    try (NetworkNamespace network = made.orElseThrow();
        ClusterFixture cluster =
            ClusterFixture.at(List.of(network.here(), network.here(), network.there()), flags())) {
      cluster.add("engine", "engine", network.here());
      Node ingress = cluster.add("ingress", "http", network.here());
      Node remote = cluster.add("remote", "http,engine", network.there());
      cluster.awaitReady(3);
      Map<Integer, String> golden = ClusterLoad.texts(load(ingress).awaitEnd());
      assertThat(golden.values()).allMatch(text -> text.startsWith("200 "));

      ClusterLoad ours = load(ingress).awaitBegun();
      ClusterLoad theirs = load(remote).awaitBegun();
      network.cut();
      long cut = System.nanoTime();
      assertGolden(cluster, ours.awaitEnd(), golden);
      assertGolden(cluster, theirs.awaitEnd(), golden); // its own engine went on with them
      assertFenced(remote);
      assertThat(ingress.client().post("/v1/completions", QUESTION).status()).isEqualTo(200);
      while (System.nanoTime() - cut < TimeUnit.SECONDS.toNanos(CUT_SECONDS)) {
        Thread.sleep(100);
      }
      assertFenced(remote);

      network.mend();
      long mended = System.nanoTime();
      for (Node node : List.of(ingress, remote)) {
        ClusterFixture.await(
            () -> ClusterFixture.serving(node) == 3 && isWell(node), "all see each other again");
      }
      double seconds = (System.nanoTime() - mended) / 1e9;
      System.out.printf("the network is whole again after %.1f s%n", seconds);
      assertThat(seconds).as(cluster::output).isLessThan(HEALED_SECONDS_MAX);
      ours = load(ingress);
      theirs = load(remote);
      assertGolden(cluster, ours.awaitEnd(), golden);
      assertGolden(cluster, theirs.awaitEnd(), golden);
    }
  }

  private static String[] flags() {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--insecure-cluster",
                "--cluster-min-nodes=2",
                "--backend=cpu",
                "--threads=1",
                "--max-model-len=512",
                "--num-gpu-blocks-override=1600"));
    flags.addAll(ClusterRequests.FLAGS);
    return flags.toArray(String[]::new);
  }

  private static boolean isWell(Node node) {
    return node.client().get("/health").status() == 200;
  }

  /** It sees too few others, takes nothing and says so. */
  private static void assertFenced(Node node) {
    ClusterFixture.await(() -> !isWell(node), "the node that is cut off says that it is not well");
    Client.Answer refused = node.client().post("/v1/completions", QUESTION);
    assertThat(refused.status()).as(refused.body()).isEqualTo(503);
    assertThat(refused.body()).contains("too few others");
  }
}
