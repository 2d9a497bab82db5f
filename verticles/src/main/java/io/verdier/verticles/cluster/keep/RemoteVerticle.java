package io.verdier.verticles.cluster.keep;

import io.verdier.cache.host.RemoteDone;
import io.verdier.cache.host.RemoteDone.Answer;
import io.verdier.cache.host.RemoteDone.Outcome;
import io.verdier.cache.host.RemoteDone.Settled;
import io.verdier.cache.host.RemoteDone.Sight;
import io.verdier.cache.host.RemoteWork;
import io.verdier.cache.host.RemoteWork.Write;
import io.verdier.cache.kv.BlockHash;
import io.verdier.conf.ClusterConfig;
import io.verdier.engine.backend.RemoteTier;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.CacheNodes;
import io.verdier.verticles.bus.CacheNodes.Address;
import io.verdier.verticles.bus.RemoteResults;
import io.verdier.verticles.bus.RemoteTasks;
import io.verdier.verticles.cluster.Trust;
import io.verdier.verticles.cluster.socket.SealedSocket;
import io.verdier.verticles.cluster.socket.SocketSeal;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.net.NetClient;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Speaks with cache nodes for one engine. Owned by a worker thread of its own, which copies blocks,
 * signs them and checks them; it waits for nobody.
 *
 * <p>Of several cache nodes the first block of a prefix chooses the one that has all of it, by the
 * highest random weight (Thaler and Ravishankar, 1998): every engine chooses the same, and where
 * one comes or goes only its own prefixes move.
 */
public final class RemoteVerticle extends VerticleBase {
  private static final long TICK_MILLIS = 25;

  private final int engine;
  private final RemoteTier tier;
  private final ClusterConfig cluster;
  private final byte[] key;
  private final Map<Address, CacheLink> links = new LinkedHashMap<>();
  private final List<RemoteDone> done = new ArrayList<>(); // to be told
  private boolean inSight;
  private long lastTickNanos = System.nanoTime();

  private Bus bus;
  private NetClient client;

  /**
   * @param engine its number in this node
   * @param tier closed by the executor, which owns the memory
   */
  @SuppressWarnings("NullAway.Init") // they come with the deployment
  public RemoteVerticle(int engine, RemoteTier tier, ClusterConfig cluster) {
    this.engine = engine;
    this.tier = tier;
    this.cluster = cluster;
    key = Trust.key(cluster);
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    client = vertx.createNetClient(Trust.asking(cluster));
    vertx.setPeriodic(TICK_MILLIS, ignored -> tick());
    return Future.join(
        bus.consume(Addresses.CACHE_NODES, CacheNodes.class, it -> onNodes(it.nodes())),
        bus.consume(Addresses.remote(engine), RemoteTasks.class, it -> onWork(it.work())));
  }

  @Override
  public Future<?> stop() {
    links.values().forEach(CacheLink::close);
    return client.close();
  }

  private void onNodes(List<Address> nodes) {
    links
        .entrySet()
        .removeIf(
            entry -> {
              boolean isGone = !nodes.contains(entry.getKey());
              if (isGone) {
                entry.getValue().close();
              }
              return isGone;
            });
    long patienceMillis = cluster.cacheNodes().patience().toMillis();
    for (Address address : nodes) {
      links.computeIfAbsent(address, it -> new CacheLink(it, tier, patienceMillis, done::add));
    }
    tell();
  }

  private void tick() {
    long now = System.nanoTime();
    long passed = TimeUnit.NANOSECONDS.toMillis(now - lastTickNanos);
    lastTickNanos = now;
    for (CacheLink link : links.values()) {
      link.tick(Math.min(passed, 2 * TICK_MILLIS)); // others are not to blame for this one's sleep
      if (link.wantsCall()) {
        call(link);
      }
    }
    tell();
  }

  private void call(CacheLink link) {
    long call = link.call();
    client
        .connect(link.address.port(), link.address.host())
        .map(
            socket ->
                new SealedSocket<>(socket, CacheCodec.PROTOCOL, key, SocketSeal.End.ASKS, link))
        .onComplete(made -> link.onCalled(call, made), failed -> link.onCallFailed(call));
  }

  private void onWork(List<RemoteWork> work) {
    Map<CacheLink, List<Write>> writes = new LinkedHashMap<>();
    for (RemoteWork one : work) {
      switch (one) {
        case RemoteWork.Ask ask ->
            with(ask.first(), link -> link.ask(ask), new Answer(ask.id(), 0));
        case RemoteWork.Read read ->
            with(read.first(), link -> link.read(read), new Settled(read.id(), Outcome.FAILED));
        case Write write ->
            with(
                write.first(),
                link -> writes.computeIfAbsent(link, any -> new ArrayList<>()).add(write),
                new Settled(write.id(), Outcome.FAILED));
        case RemoteWork.Erase erase -> {
          writes.forEach(CacheLink::write);
          writes.clear();
          open().forEach(link -> link.erase(erase.name()));
        }
        case RemoteWork.Forget _ -> {
          writes.forEach(CacheLink::write);
          writes.clear();
          open().forEach(CacheLink::forget);
        }
      }
    }
    writes.forEach(CacheLink::write);
    tell();
  }

  private void with(BlockHash first, Consumer<CacheLink> work, RemoteDone otherwise) {
    choose(open(), first).ifPresentOrElse(work, () -> done.add(otherwise));
  }

  private Collection<CacheLink> open() {
    return links.values().stream().filter(CacheLink::isOpen).toList();
  }

  private static Optional<CacheLink> choose(Collection<CacheLink> open, BlockHash first) {
    CacheLink best = null;
    long most = Long.MIN_VALUE;
    for (CacheLink link : open) {
      long weight = weight(link.address, first);
      if (best == null || weight > most) {
        best = link;
        most = weight;
      }
    }
    return Optional.ofNullable(best);
  }

  /** How much a cache node wants a prefix: the same for every engine. */
  static long weight(Address address, BlockHash first) {
    long mixed = first.a() ^ (address.host().hashCode() * 31L + address.port());
    mixed = (mixed ^ (mixed >>> 33)) * 0xff51afd7ed558ccdL; // the finalizer of MurmurHash3
    mixed = (mixed ^ (mixed >>> 33)) * 0xc4ceb9fe1a85ec53L;
    return mixed ^ (mixed >>> 33);
  }

  private void tell() {
    boolean any = links.values().stream().anyMatch(CacheLink::isOpen);
    if (any != inSight) {
      inSight = any;
      done.add(new Sight(any));
    }
    if (!done.isEmpty()) {
      List<RemoteDone> told = List.copyOf(done);
      done.clear();
      bus.send(Addresses.scheduler(engine), new RemoteResults(told));
    }
  }
}
