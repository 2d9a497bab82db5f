package io.verdier.verticles.cluster.pipeline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.verticles.cluster.socket.SocketSeal;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.InProcessServer;
import io.vertx.core.buffer.Buffer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Who may join node 0, and what it says to all others. On the loopback interface and without any
 * model; costs about three seconds, of which two are waited for nodes that do not come.
 */
@Timeout(30)
class StageHubTest {
  private static final Map<String, String> FACTS =
      Map.of("--block-size", "16", "weights with hash", "0011");
  private static final String SECRET = "--cluster-secret=the secret of this test";

  private final int port = FreePorts.row(3); // nodes 1 and 2 have the next ones

  private ServerConfig config(int node, int nodes, String... more) {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "--pipeline-parallel-size=" + nodes,
                "--node-rank=" + node,
                "--master-port=" + port,
                "--distributed-timeout-seconds=20"));
    flags.addAll(List.of(more));
    return InProcessServer.config(flags.toArray(String[]::new));
  }

  private StageHub hub(int nodes, String... more) {
    return StageHub.listen(config(0, nodes, more).cluster(), FACTS);
  }

  /** Joins on a thread of its own. */
  private static Future<Integer> join(
      ExecutorService threads, StageMember member, Map<String, String> facts, int blocks) {
    return threads.submit(() -> member.join(facts, blocks));
  }

  @Test
  void nodes_allThere_agreeOnTheLeastRoom() throws Exception {
    StageHub hub = hub(3, SECRET);
    StageMember one = new StageMember(config(1, 3, SECRET));
    StageMember two = new StageMember(config(2, 3, SECRET));
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Integer> first = join(threads, one, FACTS, 70);
      Future<Integer> second = join(threads, two, FACTS, 90);
      assertThat(hub.gather(80)).isEqualTo(70);
      assertThat(first.get()).isEqualTo(70);
      assertThat(second.get()).isEqualTo(70);
      hub.close();
      assertThat(one.awaitEnd()).isEmpty();
      assertThat(two.awaitEnd()).isEmpty();
    } finally {
      one.close();
      two.close();
    }
  }

  @Test
  void node_ofAnotherModel_isToldWhyAndTheRightOneIsTaken() throws Exception {
    StageHub hub = hub(2);
    StageMember wrong = new StageMember(config(1, 2));
    StageMember right = new StageMember(config(1, 2));
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Map<String, String> other = Map.of("--block-size", "16", "weights with hash", "0012");
      assertThatThrownBy(() -> wrong.join(other, 50))
          .isInstanceOf(ModelException.class)
          .hasMessage(
              "node 0 refuses this node: node 1 has weights with hash 0012, node 0 has 0011; start"
                  + " all with the same model, flags and build");
      Future<Integer> joined = join(threads, right, FACTS, 50);
      assertThat(hub.gather(60)).isEqualTo(50);
      assertThat(joined.get()).isEqualTo(50);
    } finally {
      hub.close();
      wrong.close();
      right.close();
    }
  }

  @Test
  void node_ofAnotherSecret_isCutOffAndSaysWhatItMayBe() {
    StageHub hub = hub(2, SECRET);
    StageMember stranger = new StageMember(config(1, 2, "--cluster-secret=guessed, and guessed"));
    try {
      assertThatThrownBy(() -> stranger.join(FACTS, 50))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("--cluster-secret");
    } finally {
      stranger.close();
      hub.close();
    }
  }

  @Test
  void garbage_onThePort_isCutOffAndHarmsNobody() throws Exception {
    StageHub hub = hub(2, SECRET);
    StageMember member = new StageMember(config(1, 2, SECRET));
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Random random = new Random(Long.getLong("seed", 3));
      byte[] noise = new byte[4096];
      random.nextBytes(noise);
      assertThat(answer(noise)).isLessThan(100);
      assertThat(
              answer(
                  "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
                      .repeat(9)
                      .getBytes(StandardCharsets.UTF_8)))
          .isLessThan(100);
      byte[] opening = new byte[44]; // right until its first frame, which says it has 2 GiB
      System.arraycopy(
          new byte[] {'V', 'D', 'P', 'L', 0, 0, 0, StageCodec.VERSION}, 0, opening, 0, 8);
      opening[40] = 0x7f;
      assertThat(answer(opening)).isLessThan(100);
      Future<Integer> joined = join(threads, member, FACTS, 50);
      assertThat(hub.gather(60)).isEqualTo(50);
      assertThat(joined.get()).isEqualTo(50);
      assertThat(answer(noise)).isLessThan(100);
    } finally {
      hub.close();
      member.close();
    }
  }

  /** Sends bytes and waits until the other end closes; returns how many bytes it has sent. */
  private int answer(byte[] bytes) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.setSoTimeout(5_000);
      OutputStream out = socket.getOutputStream();
      out.write(bytes);
      out.flush();
      return socket.getInputStream().readAllBytes().length;
    } catch (SocketException reset) { // with our bytes unread it is no orderly end
      return 0;
    }
  }

  @Test
  void nodes_missing_areNamedWhenTheTimeIsOver() {
    StageHub hub = hub(3, "--distributed-timeout-seconds=1");
    assertThatThrownBy(() -> hub.gather(1))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("node 1, node 2 did not come within 1 s");
    StageMember member = new StageMember(config(1, 2, "--distributed-timeout-seconds=1"));
    hub.close();
    assertThatThrownBy(() -> member.join(FACTS, 1))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("did not come within 1 s");
    member.close();
  }

  @Test
  void node_thatCannotListen_isNamedWithItsReasonWhenTheTimeIsOver() throws IOException {
    StageHub hub = hub(3, "--distributed-timeout-seconds=2");
    StageMember one = new StageMember(config(1, 3));
    try (ServerSocket taken = new ServerSocket(port + 1, 1, InetAddress.getLoopbackAddress())) {
      assertThat(taken.isBound()).isTrue();
      assertThatThrownBy(() -> one.join(FACTS, 1))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("node 1 cannot listen on 127.0.0.1:" + (port + 1));
      assertThatThrownBy(() -> hub.gather(1))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("node 1, node 2 did not come within 2 s")
          .hasMessageContaining(
              " The latest that tried: node 1 cannot listen on 127.0.0.1:" + (port + 1));
    } finally {
      one.close();
      hub.close();
    }
  }

  @Test
  void node_thatLoadsForever_isNamedWhenTheTimeIsOver() throws Exception {
    StageHub hub = hub(3);
    StageMember one = new StageMember(config(1, 3));
    StageMember two = new StageMember(config(2, 3));
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Integer> first = join(threads, one, FACTS, 5);
      Future<Integer> second = join(threads, two, FACTS, 5);
      hub.gather(5);
      first.get();
      second.get();
      assertThatThrownBy(() -> hub.awaitReady(Duration.ofSeconds(1)))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("node 1, node 2 did not load within 1 s after this node had")
          .hasMessageContaining("--distributed-timeout-seconds");
      hub.abandon("it took too long");
      assertThat(one.awaitEnd()).isEqualTo("node 0 says: it took too long");
      assertThat(two.awaitEnd()).isEqualTo("node 0 says: it took too long");
    } finally {
      one.close();
      two.close();
    }
  }

  @Test
  void node_thatCannotLoad_endsAllOthersWithItsReason() throws Exception {
    StageHub hub = hub(3);
    StageMember one = new StageMember(config(1, 3));
    StageMember two = new StageMember(config(2, 3));
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Integer> first = join(threads, one, FACTS, 5);
      Future<Integer> second = join(threads, two, FACTS, 5);
      hub.gather(5);
      first.get();
      second.get();
      two.fail("its disk is broken");
      assertThatThrownBy(hub::awaitReady)
          .isInstanceOf(ModelException.class)
          .hasMessage("node 2: its disk is broken");
      assertThat(one.awaitEnd()).isEqualTo("node 0 says: node 2: its disk is broken");
    } finally {
      hub.close();
      one.close();
      two.close();
    }
  }

  @Test
  void port_taken_isSaid() throws IOException {
    try (ServerSocket taken = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
      assertThat(taken.isBound()).isTrue();
      assertThatThrownBy(() -> hub(2))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("cannot listen on --master-addr 127.0.0.1 --master-port " + port);
    }
  }

  @Test
  void seals_ofTwoEnds_openEachOthersFramesInOrderOnly() {
    byte[] key = new byte[32];
    byte[] asks = {1};
    byte[] listens = {2};
    SocketSeal asking = new SocketSeal("pipeline", key, asks, listens, SocketSeal.End.ASKS);
    SocketSeal listening = new SocketSeal("pipeline", key, asks, listens, SocketSeal.End.LISTENS);
    byte[] frame = {1, 2, 3};
    Buffer first = signed(frame, asking.sign(frame));
    Buffer second = signed(frame, asking.sign(frame));
    assertThat(listening.open(first).getBytes()).isEqualTo(frame);
    assertThatThrownBy(() -> listening.open(first)).hasMessageContaining("--cluster-secret");
    assertThatThrownBy(() -> asking.open(second)).hasMessageContaining("--cluster-secret");
    SocketSeal elsewhere =
        new SocketSeal("pipeline", key, asks, new byte[] {3}, SocketSeal.End.LISTENS);
    assertThatThrownBy(() -> elsewhere.open(first)).hasMessageContaining("--cluster-secret");
  }

  private static Buffer signed(byte[] frame, byte[] signature) {
    return Buffer.buffer(frame).appendBytes(signature);
  }

  @Test
  void facts_ofStepsThatDoNotFitBetweenNodes_areRefused(@TempDir Path directory)
      throws IOException {
    Path demo = Path.of("../engine/src/main/resources/demo-model/config.json");
    String wide = Files.readString(demo).replace("\"hidden_size\": 256", "\"hidden_size\": 4096");
    Files.writeString(directory.resolve("config.json"), wide);
    CheckpointFiles files = CheckpointFiles.in(directory);
    StageFacts.of(
        config(0, 2, "--load-format=dummy", "--max-num-batched-tokens=100000"), files, "1");
    ServerConfig large = config(0, 2, "--load-format=dummy", "--max-num-batched-tokens=200000");
    assertThatThrownBy(() -> StageFacts.of(large, files, "1"))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("--max-num-batched-tokens 200000: a step's 100000 rows of 4096");
  }

  @Test
  void facts_ofOtherChangesToTheConfiguration_differ(@TempDir Path directory) throws IOException {
    Path demo = Path.of("../engine/src/main/resources/demo-model/config.json");
    Files.copy(demo, directory.resolve("config.json"));
    CheckpointFiles files = CheckpointFiles.in(directory);
    String one = "--hf-overrides={\"rope_theta\": 7.5, \"mlp_bias\": false}";
    String same = "--hf-overrides={\"mlp_bias\": false, \"rope_theta\": 7.5}";
    Map<String, String> lead = StageFacts.of(config(0, 2, "--load-format=dummy", one), files, "1");
    assertThat(
            StageFacts.difference(
                1, StageFacts.of(config(1, 2, "--load-format=dummy", same), files, "1"), lead))
        .isEmpty();
    assertThat(
            StageFacts.difference(
                1, StageFacts.of(config(1, 2, "--load-format=dummy"), files, "1"), lead))
        .hasValueSatisfying(
            text ->
                assertThat(text)
                    .startsWith("node 1 has --hf-overrides none, node 0 has {")
                    .contains("\"rope_theta\":7.5"));
  }

  @Test
  void facts_theSame_differInNothing() {
    assertThat(StageFacts.difference(1, FACTS, FACTS)).isEmpty();
    assertThat(StageFacts.difference(2, Map.of(), FACTS))
        .hasValueSatisfying(
            text -> assertThat(text).startsWith("node 2 has --block-size unknown, node 0 has 16"));
  }
}
