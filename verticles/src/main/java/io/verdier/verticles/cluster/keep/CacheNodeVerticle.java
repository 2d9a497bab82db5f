package io.verdier.verticles.cluster.keep;

import io.verdier.cache.host.BlockStore;
import io.verdier.cache.host.BlockStore.Block;
import io.verdier.cache.kv.BlockHash;
import io.verdier.conf.ClusterConfig;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.cluster.Trust;
import io.verdier.verticles.cluster.keep.CacheFrame.Ask;
import io.verdier.verticles.cluster.keep.CacheFrame.Erase;
import io.verdier.verticles.cluster.keep.CacheFrame.Forget;
import io.verdier.verticles.cluster.keep.CacheFrame.Found;
import io.verdier.verticles.cluster.keep.CacheFrame.Get;
import io.verdier.verticles.cluster.keep.CacheFrame.Given;
import io.verdier.verticles.cluster.keep.CacheFrame.Hello;
import io.verdier.verticles.cluster.keep.CacheFrame.Kept;
import io.verdier.verticles.cluster.keep.CacheFrame.Missing;
import io.verdier.verticles.cluster.keep.CacheFrame.Put;
import io.verdier.verticles.cluster.keep.CacheFrame.Refused;
import io.verdier.verticles.cluster.keep.CacheFrame.Welcome;
import io.verdier.verticles.cluster.socket.SealedSocket;
import io.verdier.verticles.cluster.socket.SocketSeal;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.net.NetServer;
import io.vertx.core.net.NetSocket;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps prefix blocks of the cluster's engines. Owned by a worker thread of its own, on which all
 * connections are served one frame after the other.
 *
 * <p>Nothing is told to whoever has not said, signed with the cluster's secret, who it is; nor may
 * it take long about it. What an engine wants and does not take is not held for it: its wishes wait
 * as numbers, and its blocks are copied when there is room on the wire.
 */
public final class CacheNodeVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(CacheNodeVerticle.class);

  private static final int CONNECTIONS_MAX = 512;
  private static final long HELLO_MILLIS_MAX = 5_000;
  private static final long TELL_MILLIS = 500;

  /** Blocks that one engine may want at a time, of all its sequences. */
  private static final int WISHES_MAX = 1 << 18;

  private final ClusterConfig cluster;
  private final byte[] key;
  private final BlockStore store;
  private NetServer server;
  private int connections;
  private long refused;
  private int port;
  private volatile Seen seen = new Seen(0, 0, 0, 0); // for the metrics

  private record Seen(int blocks, long bytes, long evictions, long refused) {}

  /**
   * @param bytesMax that all blocks together may take
   */
  @SuppressWarnings("NullAway.Init") // the server comes with the deployment
  public CacheNodeVerticle(ClusterConfig cluster, long bytesMax, ServingMetrics metrics) {
    this.cluster = cluster;
    key = Trust.key(cluster);
    store = new BlockStore(bytesMax);
    metrics.watch("verdier:cluster_cache_blocks", "Blocks kept for engines.", () -> seen.blocks);
    metrics.watchGrowing(
        "verdier:cluster_cache_evictions", "Blocks that gave way to others.", () -> seen.evictions);
    metrics.watchGrowing(
        "verdier:cluster_cache_refused_connections",
        "Connections of those who are no engine of this cluster.",
        () -> seen.refused);
  }

  @Override
  public Future<?> start() {
    server =
        vertx.createNetServer(
            Trust.listening(cluster).setHost(cluster.host()).setPort(cluster.cacheNodes().port()));
    return server
        .connectHandler(this::onConnection)
        .listen()
        .onSuccess(
            bound -> {
              port = bound.actualPort();
              LOG.info("Engines find this cache node at port {}", port);
              tell();
              vertx.setPeriodic(TELL_MILLIS, ignored -> tell());
            });
  }

  @Override
  public Future<?> stop() {
    return server.close().onComplete(ignored -> store.close()); // no frame comes any more
  }

  private void tell() {
    seen = new Seen(store.blocks(), store.bytes(), store.evictions(), refused);
    CacheRoom room = new CacheRoom(port, store.blocks(), store.bytes(), store.bytesMax());
    new Bus(vertx).publish(Addresses.CACHE_ROOM, room);
  }

  private void onConnection(NetSocket connection) {
    if (connections >= CONNECTIONS_MAX) {
      refused++;
      connection.close();
      return;
    }
    connections++;
    Engine engine = new Engine();
    var socket =
        new SealedSocket<>(connection, CacheCodec.PROTOCOL, key, SocketSeal.End.LISTENS, engine);
    vertx.setTimer(
        HELLO_MILLIS_MAX,
        ignored -> {
          if (engine.hello == null) {
            socket.close("it has not said who it is");
          }
        });
  }

  /** Whoever is at the other end of a connection. */
  private final class Engine implements SealedSocket.Listener<CacheFrame> {
    private @Nullable Hello hello; // null: it is nobody yet
    private final Deque<Get> wishes = new ArrayDeque<>();
    private boolean awaitsRoom;

    @Override
    public void onOpen(SealedSocket<CacheFrame> socket) {}

    @Override
    public void onFrame(SealedSocket<CacheFrame> socket, CacheFrame frame) {
      Hello known = hello;
      if (known == null) {
        onFirst(socket, frame);
        return;
      }
      BlockHash identity = known.identity();
      switch (frame) {
        case Ask ask -> socket.send(new Found(ask.id(), there(identity, ask.names())));
        case Get get -> want(socket, get);
        case Put put -> socket.send(new Kept(put.id(), isKept(known, put.name(), put.block())));
        case Erase erase -> store.erase(identity, erase.name());
        case Forget ignored -> store.forget(identity);
        case Hello _, Welcome _, Refused _, Found _, Given _, Missing _, Kept _ ->
            socket.close("that is not an engine's word");
      }
    }

    private void onFirst(SealedSocket<CacheFrame> socket, CacheFrame frame) {
      if (!(frame instanceof Hello first)) {
        socket.close("it has not said who it is");
      } else if (first.blockBytes() < 1 || first.blockBytes() > store.bytesMax()) {
        String reason = "Not one block of %d bytes fits here".formatted(first.blockBytes());
        socket.close(new Refused(reason), reason);
      } else {
        hello = first;
        socket.send(new Welcome());
      }
    }

    private void want(SealedSocket<CacheFrame> socket, Get get) {
      if (wishes.size() >= WISHES_MAX) {
        socket.close("it wants too much at once");
        return;
      }
      wishes.add(get);
      serve(socket);
    }

    private void serve(SealedSocket<CacheFrame> socket) {
      Hello known = hello;
      while (known != null && !wishes.isEmpty() && !socket.isFull()) {
        Get get = wishes.remove();
        Block block = store.find(known.identity(), get.name());
        socket.send(block == null ? new Missing(get.id()) : new Given(get.id(), block));
      }
      if (!wishes.isEmpty() && !awaitsRoom) {
        awaitsRoom = true;
        socket.onRoom(
            () -> {
              awaitsRoom = false;
              serve(socket);
            });
      }
    }

    @Override
    public void onClosed(SealedSocket<CacheFrame> socket, String problem) {
      connections--;
      wishes.clear();
      if (hello == null) {
        refused++;
        if (refused == 1 && !problem.isEmpty()) {
          LOG.warn("A connection is refused: {}", problem);
        }
      }
    }
  }

  private long[] there(BlockHash identity, List<BlockHash> names) {
    BitSet there = new BitSet(names.size());
    for (int i = 0; i < names.size(); i++) {
      there.set(i, store.touch(identity, names.get(i)));
    }
    return there.toLongArray();
  }

  private boolean isKept(Hello whose, BlockHash name, Block block) {
    return block.contents().length == whose.blockBytes()
        && store.keep(whose.identity(), name, block);
  }
}
