package io.verdier.verticles.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ClusterConfig;
import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.ServerProcess;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBusOptions;
import io.vertx.spi.cluster.hazelcast.HazelcastClusterManager;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What reaches the two ports of a node and does not know its secret changes nothing. One node for
 * all tests; costs about ten seconds, most of it for rogue members that join or try to.
 */
class ClusterTrustIT {
  private static final String SECRET = "the secret of this test";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private static Path directory;

  private static ServerProcess server;
  private static int port;
  private static int busPort;
  private static String nodeId;
  private static String golden;

  @BeforeAll
  static void start() throws Exception {
    port = FreePorts.row(2);
    busPort = port + 1;
    server =
        ServerProcess.startedWith(
            ServerProcess.SMALL + " -Xbootclasspath/a:" + Path.of(classes()),
            "serve",
            "--host=127.0.0.1",
            "--port=0",
            "--cluster",
            "--cluster-port=" + port,
            "--cluster-bus-port=" + busPort,
            "--cluster-secret=" + SECRET,
            "--backend=cpu",
            "--threads=1",
            "--max-model-len=256");
    server.awaitReady();
    nodeId = status().get("node").asText();
    golden = answer();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static String classes() throws Exception {
    return Path.of(Gadget.class.getProtectionDomain().getCodeSource().getLocation().toURI())
        .toString();
  }

  private static String send(HttpRequest.Builder request) throws Exception {
    return HttpClient.newHttpClient()
        .send(request.build(), HttpResponse.BodyHandlers.ofString())
        .body();
  }

  private static JsonNode status() throws Exception {
    return JSON.readTree(send(HttpRequest.newBuilder(URI.create(server.baseUrl() + "/cluster"))));
  }

  private static String answer() throws Exception {
    String body = "{\"prompt\": \"A bird\", \"temperature\": 0, \"max_tokens\": 16}";
    String reply =
        send(
            HttpRequest.newBuilder(URI.create(server.baseUrl() + "/v1/completions"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body)));
    return JSON.readTree(reply).at("/choices/0/text").asText();
  }

  private static double refusedFrames() throws Exception {
    return send(HttpRequest.newBuilder(URI.create(server.baseUrl() + "/metrics")))
        .lines()
        .filter(line -> line.startsWith("verdier:cluster_refused_frames_total{"))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
        .sum();
  }

  /** The same process, the same answer, nobody new, no trace. */
  private static void assertUnharmed() throws Exception {
    assertThat(answer()).isEqualTo(golden);
    JsonNode status = status();
    assertThat(status.get("node").asText()).isEqualTo(nodeId);
    assertThat(status.get("state").asText()).isEqualTo("ready");
    for (JsonNode node : status.get("nodes")) {
      if (!node.get("id").asText().equals(nodeId)) {
        assertThat(node.get("name").asText()).isEmpty();
      }
    }
    try (var files = Files.list(directory)) {
      assertThat(files).isEmpty();
    }
    assertThat(server.output()).doesNotContain("OutOfMemory", "StackOverflow");
  }

  private static void throwAt(int victim, byte[] bytes) throws Exception {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), victim)) {
      socket.setSoTimeout(200);
      OutputStream out = socket.getOutputStream();
      out.write(bytes);
      out.flush();
      socket.getInputStream().readNBytes(64);
    } catch (IOException closedOrSilent) {
      // Either is well.
    }
  }

  @Test
  void ports_garbage_changesNothing() throws Exception {
    Random random = new Random(1);
    List<byte[]> garbage = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      byte[] bytes = new byte[1 + random.nextInt(4096)];
      random.nextBytes(bytes);
      garbage.add(bytes);
    }
    garbage.add(
        "GET /hazelcast/rest/cluster HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(StandardCharsets.UTF_8));
    garbage.add("stats\r\n".getBytes(StandardCharsets.UTF_8));
    garbage.add(ByteBuffer.allocate(64).putInt(Integer.MAX_VALUE).array());
    garbage.add(ByteBuffer.allocate(64).putInt(-1).array());
    byte[] hazelcast = new byte[4096];
    Arrays.fill(hazelcast, (byte) 0xff);
    System.arraycopy("HZC".getBytes(StandardCharsets.US_ASCII), 0, hazelcast, 0, 3);
    garbage.add(hazelcast);
    for (byte[] bytes : garbage) {
      throwAt(port, bytes);
      throwAt(busPort, bytes);
    }
    assertUnharmed();
  }

  /** As Vert.x itself would write it: a message to the node's address with an object in it. */
  @Test
  void bus_serializedGadget_isNotRead() throws Exception {
    for (Object gadget : List.of(gadget(), new Gadget.External(directory.resolve("external")))) {
      byte[] body = serialized(gadget);
      for (int codec = 0; codec < 25; codec++) { // whatever its number is
        throwAt(busPort, busMessage(codec, body));
      }
    }
    assertUnharmed();
  }

  private static Gadget gadget() {
    return new Gadget(directory.resolve("trace"));
  }

  private static byte[] serialized(Object gadget) throws IOException {
    var bytes = new java.io.ByteArrayOutputStream();
    try (var out = new java.io.ObjectOutputStream(bytes)) {
      out.writeObject(gadget);
    }
    return bytes.toByteArray();
  }

  /**
   * The wire of Vert.x's clustered bus: version, codec, send, reply, address, sender, no headers.
   */
  private static byte[] busMessage(int codec, byte[] body) {
    byte[] address = ("verdier.node." + nodeId).getBytes(StandardCharsets.UTF_8);
    byte[] sender = "rogue".getBytes(StandardCharsets.UTF_8);
    Buffer message = Buffer.buffer().appendInt(0).appendByte((byte) 3).appendByte((byte) codec);
    message.appendByte((byte) 0).appendInt(0);
    message.appendInt(address.length).appendBytes(address);
    message.appendInt(sender.length).appendBytes(sender);
    message.appendInt(4).appendInt(body.length).appendBytes(body);
    return message.setInt(0, message.length() - 4).getBytes();
  }

  @Test
  void member_ofTheSameNameWithoutTheSecret_isRefused() throws Exception {
    try (Rogue rogue = new Rogue(Membership.settings(config()).setClusterName("verdier"))) {
      assertThat(rogue.manager.getNodes()).doesNotContain(nodeId).hasSize(1);
    }
    assertUnharmed();
  }

  /** Somebody has listened and knows the name; the key he does not know. */
  @Test
  void member_withTheNameAndAnotherKey_isNotListenedTo() throws Exception {
    double before = refusedFrames();
    try (Rogue rogue = new Rogue(Membership.settings(config()))) {
      assertThat(rogue.manager.getNodes()).contains(nodeId);
      Seal forger = new Seal(Seal.key("some other secret"), rogue.manager.getNodeId(), 1);
      long now = System.currentTimeMillis();
      List<Frame> frames =
          List.of(
              new Frame.Drain(true),
              new Frame.Work(
                  1, FrameCodecTest.submit(new Prompt.Text("x", true), null), new long[0]),
              new Frame.Reset(),
              new Frame.News(List.of(new Frame.Item(1, 0, Delta.ended(0, FinishReason.STOP)))));
      for (Frame frame : frames) {
        rogue.send("verdier.node." + nodeId, forger.close(nodeId, frame, now));
      }
      rogue.send("verdier.node." + nodeId, Buffer.buffer("garbage"));
      rogue.send("verdier.scheduler", Buffer.buffer("garbage"));
      rogue.send("verdier.cluster", "garbage");
      rogue.manager.getHazelcastInstance().getMap("__vertx.nodeInfo").put("x", gadget());
      rogue.manager.getHazelcastInstance().getMap("verdier").put("x", gadget());
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
      while (refusedFrames() < before + frames.size() + 1) {
        assertThat(System.nanoTime()).isLessThan(deadline);
        Thread.sleep(50);
      }
      assertUnharmed();
    }
    assertUnharmed();
  }

  private static ClusterConfig config() throws IOException {
    List<String> flags =
        List.of(
            "--cluster",
            "--cluster-secret=" + SECRET,
            "--cluster-port=" + FreePorts.one(),
            "--cluster-members=127.0.0.1:" + port);
    return ((LoadResult.Loaded) ConfigLoader.load(flags, Map.of())).config().cluster();
  }

  /** A member in the test's own process. */
  private static final class Rogue implements AutoCloseable {
    final HazelcastClusterManager manager;
    final Vertx vertx;

    Rogue(com.hazelcast.config.Config settings) throws Exception {
      manager = new HazelcastClusterManager(settings);
      VertxOptions options =
          new VertxOptions().setEventBusOptions(new EventBusOptions().setHost("127.0.0.1"));
      vertx =
          Vertx.builder()
              .with(options)
              .withClusterManager(manager)
              .buildClustered()
              .toCompletionStage()
              .toCompletableFuture()
              .get(30, TimeUnit.SECONDS);
    }

    void send(String address, Object message) {
      vertx.eventBus().send(address, message);
    }

    @Override
    public void close() {
      vertx.close().toCompletionStage().toCompletableFuture().join();
    }
  }
}
