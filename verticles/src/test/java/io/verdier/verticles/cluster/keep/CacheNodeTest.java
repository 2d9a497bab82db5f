package io.verdier.verticles.cluster.keep;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.host.DiskFile.Identity;
import io.verdier.cache.host.RemoteDone;
import io.verdier.cache.host.RemoteDone.Answer;
import io.verdier.cache.host.RemoteDone.Outcome;
import io.verdier.cache.host.RemoteDone.Settled;
import io.verdier.cache.host.RemoteDone.Sight;
import io.verdier.cache.host.RemoteWork;
import io.verdier.cache.kv.BlockHash;
import io.verdier.conf.ClusterConfig;
import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.engine.backend.HostBlocks;
import io.verdier.engine.backend.RemoteTier;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.CacheNodes;
import io.verdier.verticles.bus.CacheNodes.Address;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.RemoteResults;
import io.verdier.verticles.bus.RemoteTasks;
import io.verdier.verticles.cluster.Trust;
import io.verdier.verticles.cluster.socket.Protocol;
import io.verdier.verticles.cluster.socket.SealedSocket;
import io.verdier.verticles.cluster.socket.SocketSeal;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.Context;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.VerticleBase;
import io.vertx.core.Vertx;
import io.vertx.core.net.NetClient;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A cache node and the actors of engines, in one process on the loopback interface. */
@Timeout(120)
class CacheNodeTest {
  private static final int BLOCK_BYTES = 200_000; // several reads of a socket
  private static final int SLOTS = 40;
  private static final String SECRET = "--cluster-secret=the secret of this test";
  private static final BlockHash FIRST = new BlockHash(9, 9, 9, 9);

  private Vertx vertx;
  private Bus bus;
  private final ServingMetrics metrics = new ServingMetrics("demo", 2048);
  private int engines;

  @BeforeEach
  void start() {
    vertx = Vertx.vertx();
    bus = Bus.register(vertx);
  }

  @AfterEach
  void stop() throws Exception {
    get(vertx.close());
  }

  private static <T> T get(Future<T> future) throws Exception {
    return future.toCompletionStage().toCompletableFuture().get(60, TimeUnit.SECONDS);
  }

  private static ClusterConfig cluster(String... flags) {
    List<String> all = new ArrayList<>(List.of("--cluster"));
    all.addAll(List.of(flags));
    LoadResult result = ConfigLoader.load(all, Map.of());
    return ((LoadResult.Loaded) result).config().cluster();
  }

  private static ClusterConfig usual() {
    return cluster(SECRET, "--cluster-cache-timeout=30");
  }

  private int cacheNode(long bytesMax) throws Exception {
    CompletableFuture<Integer> port = new CompletableFuture<>();
    bus.consume(Addresses.CACHE_ROOM, CacheRoom.class, room -> port.complete(room.port()));
    deploy(new CacheNodeVerticle(usual(), bytesMax, metrics));
    return port.get(60, TimeUnit.SECONDS);
  }

  private String deploy(VerticleBase verticle) throws Exception {
    return get(
        vertx.deployVerticle(
            verticle,
            new DeploymentOptions()
                .setThreadingModel(ThreadingModel.WORKER)
                .setWorkerPoolName("test-" + System.identityHashCode(verticle))
                .setWorkerPoolSize(1)));
  }

  private void show(int... ports) {
    bus.publish(
        Addresses.CACHE_NODES,
        new CacheNodes(
            Arrays.stream(ports).mapToObj(port -> new Address("127.0.0.1", port)).toList()));
  }

  /** Host memory and the actor of one engine, and what the actor tells the scheduler. */
  private final class Engine {
    final int number = engines++;
    final BlockingQueue<RemoteDone> told = new LinkedBlockingQueue<>();
    final RemoteTier tier;
    private long ids;

    Engine(int identity, ClusterConfig cluster) throws Exception {
      byte[] digest = new byte[32];
      digest[31] = (byte) identity;
      HostBlocks host = new Host();
      tier = new RemoteTier(host, new Identity(digest, BLOCK_BYTES));
      bus.consume(Addresses.scheduler(number), RemoteResults.class, it -> told.addAll(it.done()));
      deploy(new RemoteVerticle(number, tier, cluster));
    }

    void fill(int slot, int value) {
      byte[] contents = contents(value);
      assertThat(tier.fill(slot, new Block(contents, sum(contents)))).isTrue();
    }

    byte[] at(int slot) {
      Block block = tier.copyOf(slot);
      return block == null ? new byte[0] : block.contents();
    }

    void send(RemoteWork... work) {
      bus.send(Addresses.remote(number), new RemoteTasks(List.of(work)));
    }

    RemoteDone next() throws InterruptedException {
      RemoteDone next = told.poll(60, TimeUnit.SECONDS);
      assertThat(next).as("something is told").isNotNull();
      return next;
    }

    Outcome write(BlockHash name, int slot) throws InterruptedException {
      send(new RemoteWork.Write(ids++, FIRST, name, slot));
      return ((Settled) next()).outcome();
    }

    Outcome read(BlockHash name, int slot) throws InterruptedException {
      send(new RemoteWork.Read(ids++, FIRST, name, slot));
      return ((Settled) next()).outcome();
    }

    int ask(BlockHash... names) throws InterruptedException {
      send(new RemoteWork.Ask(ids++, FIRST, List.of(names)));
      return ((Answer) next()).there();
    }

    void awaitSight(boolean any) throws InterruptedException {
      assertThat(next()).isEqualTo(new Sight(any));
    }
  }

  /** In two pieces, as that of two ranks is. */
  private static final class Host implements HostBlocks {
    private final Arena arena = Arena.ofShared();
    private final MemorySegment all = arena.allocate((long) SLOTS * BLOCK_BYTES);

    @Override
    public int slots() {
      return SLOTS;
    }

    @Override
    public List<MemorySegment> pieces(int slot) {
      long at = (long) slot * BLOCK_BYTES;
      return List.of(all.asSlice(at, 77), all.asSlice(at + 77, BLOCK_BYTES - 77));
    }

    @Override
    public void close() {
      arena.close();
    }
  }

  private static byte[] contents(int value) {
    byte[] contents = new byte[BLOCK_BYTES];
    for (int i = 0; i < BLOCK_BYTES; i++) {
      contents[i] = (byte) (value * 31 + i);
    }
    return contents;
  }

  private static int sum(byte[] contents) {
    CRC32C crc = new CRC32C();
    crc.update(contents);
    return (int) crc.getValue();
  }

  private static BlockHash name(int number) {
    return new BlockHash(number, 1, 2, 3);
  }

  @Test
  void engines_ofEqualBits_findEachOthersBlocksAndOthersDoNot() throws Exception {
    int port = cacheNode(100L * BLOCK_BYTES);
    Engine one = new Engine(1, usual());
    Engine two = new Engine(1, usual());
    Engine other = new Engine(2, usual());
    show(port);
    for (Engine engine : List.of(one, two, other)) {
      engine.awaitSight(true);
    }
    for (int i = 0; i < 30; i++) {
      one.fill(i, i);
    }
    for (int i = 0; i < 30; i++) {
      assertThat(one.write(name(i), i)).isEqualTo(Outcome.DONE);
    }
    two.fill(0, 5);
    assertThat(two.write(name(5), 0)).isEqualTo(Outcome.WAS_THERE);
    assertThat(two.ask(name(0), name(1), name(99), name(2))).isEqualTo(2);
    for (int i = 0; i < 30; i++) { // all at once
      two.send(new RemoteWork.Read(1000 + i, FIRST, name(i), i));
    }
    for (int i = 0; i < 30; i++) {
      assertThat(((Settled) two.next()).outcome()).isEqualTo(Outcome.DONE);
    }
    for (int i = 0; i < 30; i++) {
      assertThat(two.at(i)).isEqualTo(contents(i));
    }
    assertThat(other.ask(name(0))).isZero();
    assertThat(other.read(name(0), 0)).isEqualTo(Outcome.FAILED);

    two.send(new RemoteWork.Erase(name(3)));
    assertThat(two.ask(name(3))).isZero();
    two.send(new RemoteWork.Forget());
    assertThat(two.ask(name(1))).isZero();
    assertThat(one.ask(name(1))).isZero();
  }

  @Test
  void cacheNode_full_keepsWhatWasUsedLast() throws Exception {
    int port = cacheNode(3L * BLOCK_BYTES + 10);
    Engine one = new Engine(1, usual());
    show(port);
    one.awaitSight(true);
    for (int i = 0; i < 5; i++) {
      one.fill(0, i);
      assertThat(one.write(name(i), 0)).isEqualTo(Outcome.DONE);
    }
    assertThat(one.ask(name(0))).isZero();
    assertThat(one.ask(name(1))).isZero();
    assertThat(one.ask(name(2), name(3), name(4))).isEqualTo(3);
  }

  @Test
  void block_thatIsNotWhatWasComputed_isNotUsedAndErased() throws Exception {
    int port = cacheNode(10L * BLOCK_BYTES);
    Engine one = new Engine(1, usual());
    show(port);
    one.awaitSight(true);
    Visitor liar = new Visitor(port, usual(), CacheCodec.PROTOCOL);
    liar.send(new CacheFrame.Hello(one.tier.identity(), BLOCK_BYTES));
    assertThat(liar.next()).isInstanceOf(CacheFrame.Welcome.class);
    Block wrong = new Block(contents(1), sum(contents(1)) + 1);
    liar.send(new CacheFrame.Put(1, name(1), wrong));
    assertThat(liar.next()).isEqualTo(new CacheFrame.Kept(1, true));
    one.fill(7, 7);

    assertThat(one.ask(name(1))).isEqualTo(1);
    assertThat(one.read(name(1), 7)).isEqualTo(Outcome.FAILED);

    assertThat(one.at(7)).as("what was there").isEqualTo(contents(7));
    assertThat(one.ask(name(1))).as("is there no more").isZero();
    one.fill(8, 1);
    assertThat(one.write(name(1), 8)).as("may come again").isEqualTo(Outcome.DONE);
    liar.send(new CacheFrame.Put(2, name(2), new Block(new byte[7], 0)));
    assertThat(liar.next()).as("of another size").isEqualTo(new CacheFrame.Kept(2, false));
  }

  @Test
  void strangers_withoutTheSecretOrTheVersion_getNothingAndDoNoHarm() throws Exception {
    int port = cacheNode(10L * BLOCK_BYTES);
    Engine one = new Engine(1, usual());
    show(port);
    one.awaitSight(true);
    one.fill(0, 1);
    assertThat(one.write(name(1), 0)).isEqualTo(Outcome.DONE);
    ClusterConfig stranger = cluster("--cluster-secret=another secret of 16");
    CacheFrame hello = new CacheFrame.Hello(one.tier.identity(), BLOCK_BYTES);

    Visitor unsigned = new Visitor(port, stranger, CacheCodec.PROTOCOL);
    unsigned.send(hello);
    unsigned.send(new CacheFrame.Forget());
    assertThat(unsigned.next()).isEqualTo("closed");
    Visitor newer = new Visitor(port, usual(), version(CacheCodec.VERSION + 1));
    assertThat(newer.next()).isEqualTo("closed");
    Visitor rude = new Visitor(port, usual(), CacheCodec.PROTOCOL);
    rude.send(new CacheFrame.Get(1, name(1)));
    assertThat(rude.next()).isEqualTo("closed");
    Visitor large = new Visitor(port, usual(), CacheCodec.PROTOCOL);
    large.send(new CacheFrame.Hello(one.tier.identity(), 11 * BLOCK_BYTES));
    assertThat(large.next()).isInstanceOf(CacheFrame.Refused.class);
    for (byte[] garbage :
        List.of(
            new byte[100],
            opening(CacheCodec.VERSION + 1),
            "GET / HTTP/1.1\r\n\r\n".repeat(9).getBytes(StandardCharsets.US_ASCII))) {
      try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
        socket.getOutputStream().write(garbage);
        InputStream in = socket.getInputStream();
        byte[] all = in.readAllBytes(); // until it is closed
        assertThat(all.length).as("an opening and no more").isLessThanOrEqualTo(40);
      } catch (IOException reset) {
        // it was closed before all was read
      }
    }
    assertThat(one.read(name(1), 3)).isEqualTo(Outcome.DONE);
    assertThat(one.at(3)).isEqualTo(contents(1));
  }

  private static byte[] opening(int version) {
    byte[] opening = new byte[40];
    ByteBuffer.wrap(opening).putInt(CacheCodec.PROTOCOL.magic()).putInt(version);
    return opening;
  }

  private static Protocol<CacheFrame> version(int version) {
    Protocol<CacheFrame> now = CacheCodec.PROTOCOL;
    return new Protocol<>(
        now.name(), now.parties(), now.magic(), version, now.bytesMax(), now.write(), now.read());
  }

  /** It takes connections and says nothing: as a stopped process does. */
  @Test
  void cacheNode_hung_isLeftAndEverythingIsAnswered() throws Exception {
    int port = cacheNode(10L * BLOCK_BYTES);
    ClusterConfig hasty = cluster(SECRET, "--cluster-cache-timeout=0.3");
    try (ServerSocket silent = new ServerSocket(0, 10, InetAddress.getLoopbackAddress())) {
      Engine one = new Engine(1, hasty);
      show(silent.getLocalPort());
      assertThat(one.ask(name(1))).as("nobody is in sight").isZero();
      show(silent.getLocalPort(), port);
      one.awaitSight(true);
      one.fill(0, 1);
      one.write(name(1), 0); // whatever comes of it
      show();
      RemoteDone last = one.next();
      while (!last.equals(new Sight(false))) {
        last = one.next();
      }
      assertThat(one.read(name(1), 1)).isEqualTo(Outcome.FAILED);
      assertThat(one.write(name(1), 1)).isEqualTo(Outcome.FAILED);
    }
  }

  /** Else each call would leave a connection behind, at both ends. */
  @Test
  void cacheNode_hung_isLeftWithoutAConnection() throws Exception {
    try (ServerSocket silent = new ServerSocket(0, 10, InetAddress.getLoopbackAddress())) {
      Engine one = new Engine(1, cluster(SECRET, "--cluster-cache-timeout=0.3"));
      show(silent.getLocalPort());
      for (int call = 0; call < 3; call++) {
        try (Socket called = silent.accept()) {
          called.setSoTimeout(20_000);
          assertThat(called.getInputStream().readAllBytes()).as("until it is closed").hasSize(40);
        }
      }
      assertThat(one.told).isEmpty();
    }
  }

  /** It welcomes an engine, and then says nothing more; later it does again. */
  @Test
  void cacheNode_silentInTheMiddle_failsWhatIsUnderWayAndIsCalledAgain() throws Exception {
    ClusterConfig hasty = cluster(SECRET, "--cluster-cache-timeout=0.3");
    Engine one = new Engine(1, hasty);
    int port = FreePorts.one();
    CompletableFuture<Integer> welcomed = new CompletableFuture<>();
    get(
        vertx
            .createNetServer(Trust.listening(hasty).setHost("127.0.0.1").setPort(port))
            .connectHandler(
                socket ->
                    new SealedSocket<>(
                        socket,
                        CacheCodec.PROTOCOL,
                        Trust.key(hasty),
                        SocketSeal.End.LISTENS,
                        new OnlyWelcomes(welcomed)))
            .listen());
    show(port);
    one.awaitSight(true);
    one.send(
        new RemoteWork.Ask(100, FIRST, List.of(name(1))),
        new RemoteWork.Read(101, FIRST, name(1), 1),
        new RemoteWork.Write(102, FIRST, name(2), 2));
    assertThat(List.of(one.next(), one.next(), one.next()))
        .containsExactlyInAnyOrder(
            new Answer(100, 0), new Settled(101, Outcome.FAILED), new Settled(102, Outcome.FAILED));
    one.awaitSight(false);
    one.awaitSight(true);
    assertThat(welcomed.get(60, TimeUnit.SECONDS)).isPositive();
  }

  private record OnlyWelcomes(CompletableFuture<Integer> welcomed)
      implements SealedSocket.Listener<CacheFrame> {
    @Override
    public void onOpen(SealedSocket<CacheFrame> socket) {}

    @Override
    public void onFrame(SealedSocket<CacheFrame> socket, CacheFrame frame) {
      if (frame instanceof CacheFrame.Hello) {
        socket.send(new CacheFrame.Welcome());
        welcomed.complete(1);
      }
    }

    @Override
    public void onClosed(SealedSocket<CacheFrame> socket, String problem) {}
  }

  /** One who knows the protocol. */
  private final class Visitor implements SealedSocket.Listener<CacheFrame> {
    private final BlockingQueue<Object> heard = new LinkedBlockingQueue<>();
    private final CompletableFuture<SealedSocket<CacheFrame>> open = new CompletableFuture<>();
    private final Context context = vertx.getOrCreateContext();
    private final NetClient client;

    Visitor(int port, ClusterConfig cluster, Protocol<CacheFrame> protocol) {
      client = vertx.createNetClient(Trust.asking(cluster));
      context.runOnContext(
          ignored ->
              client
                  .connect(port, "127.0.0.1")
                  .onSuccess(
                      socket ->
                          new SealedSocket<>(
                              socket, protocol, Trust.key(cluster), SocketSeal.End.ASKS, this)));
    }

    void send(CacheFrame frame) throws Exception {
      SealedSocket<CacheFrame> socket = open.get(60, TimeUnit.SECONDS);
      context.runOnContext(ignored -> socket.send(frame));
    }

    Object next() throws InterruptedException {
      Object next = heard.poll(60, TimeUnit.SECONDS);
      assertThat(next).as("something is heard").isNotNull();
      return next;
    }

    @Override
    public void onOpen(SealedSocket<CacheFrame> socket) {
      open.complete(socket);
    }

    @Override
    public void onFrame(SealedSocket<CacheFrame> socket, CacheFrame frame) {
      heard.add(frame);
    }

    @Override
    public void onClosed(SealedSocket<CacheFrame> socket, String problem) {
      heard.add("closed");
    }
  }
}
