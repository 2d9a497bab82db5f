package io.verdier.verticles.cluster;

import com.hazelcast.config.Config;
import com.hazelcast.config.JavaSerializationFilterConfig;
import com.hazelcast.config.JoinConfig;
import com.hazelcast.config.NetworkConfig;
import com.hazelcast.config.XmlConfigBuilder;
import com.hazelcast.core.LifecycleEvent.LifecycleState;
import io.verdier.conf.ClusterConfig;
import io.verdier.verticles.bus.NodeBus;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.eventbus.EventBusOptions;
import io.vertx.core.http.ClientAuth;
import io.vertx.core.spi.cluster.NodeInfo;
import io.vertx.core.spi.cluster.NodeListener;
import io.vertx.spi.cluster.hazelcast.HazelcastClusterManager;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One life of this node in the cluster: Hazelcast, which says who is there, and the clustered event
 * bus. Thread-safe.
 *
 * <p>They run in a {@link Vertx} of their own with few threads. So a node that was thrown out can
 * end this life and begin another, under another name, while its HTTP server and its model stay.
 */
final class Membership {
  private static final Logger LOG = LoggerFactory.getLogger(Membership.class);

  private static final int LOOPS = 1;
  private static final int WORKERS = 4;
  private static final int PING_MILLIS = 2_000;
  private static final int NAME_BYTES = 16;
  private static final int LOOK_SECONDS = 1;

  /**
   * What Hazelcast's members may send each other by Java serialization: failures, which some of
   * their answers are, with their traces.
   */
  private static final List<String> SERIALIZABLE =
      List.of(
          "com.hazelcast.",
          "java.lang.",
          "[Ljava.lang.",
          "java.io.IOException",
          "java.io.EOFException",
          "java.net.",
          "java.util.ArrayList",
          "java.util.Collections$",
          "java.util.concurrent.");

  /** These can run code when they are read. */
  private static final List<String> NOT_SERIALIZABLE =
      List.of("java.lang.invoke.", "java.lang.reflect.", "java.net.URL");

  private final Vertx vertx;
  private final HazelcastClusterManager manager;
  private final NodeBus bus;

  /** What happens; on threads of the cluster. */
  interface Listener {
    void onBytes(Buffer bytes);

    void onLeft(String node);

    /** The others had thrown this node out, and it has found out. */
    void onExpelled();
  }

  private Membership(Vertx vertx, HazelcastClusterManager manager) {
    this.vertx = vertx;
    this.manager = manager;
    this.bus = new NodeBus(vertx);
  }

  /**
   * Joins. On a thread for this alone: it takes seconds of reading classes and settings, and what
   * begins another {@link Vertx} must not run on a thread of one.
   */
  static Future<Membership> join(ClusterConfig cluster, Listener listener) {
    Promise<Membership> joined = Promise.promise();
    Thread.ofPlatform()
        .name("cluster-join")
        .daemon()
        .start(
            () -> {
              try {
                joinHere(cluster, listener).onComplete(joined);
              } catch (IOException | RuntimeException unusable) {
                joined.fail(unusable);
              }
            });
    return joined.future();
  }

  private static Future<Membership> joinHere(ClusterConfig cluster, Listener listener)
      throws IOException {
    System.setProperty("hazelcast.logging.type", "slf4j"); // it logs before it reads its settings
    Config settings = settings(cluster);
    HazelcastClusterManager manager = new HazelcastClusterManager(settings);
    VertxOptions options =
        new VertxOptions()
            .setEventLoopPoolSize(LOOPS)
            .setWorkerPoolSize(WORKERS)
            .setInternalBlockingPoolSize(WORKERS)
            .setEventBusOptions(busOptions(cluster));
    return Vertx.builder()
        .with(options)
        .withClusterManager(manager)
        .buildClustered()
        .compose(
            vertx -> {
              Membership life = new Membership(vertx, manager);
              life.follow(listener);
              return life.bus.listen(life.id(), listener::onBytes).map(life);
            });
  }

  private void follow(Listener listener) {
    manager.nodeListener(
        new NodeListener() {
          @Override
          public void nodeAdded(String node) {}

          @Override
          public void nodeLeft(String node) {
            listener.onLeft(node);
          }
        });
    manager
        .getHazelcastInstance()
        .getLifecycleService()
        .addLifecycleListener(
            event -> {
              if (event.getState() == LifecycleState.MERGING
                  || event.getState() == LifecycleState.MERGE_FAILED) {
                listener.onExpelled();
              }
            });
  }

  /** Name of this node in this life. */
  String id() {
    return manager.getNodeId();
  }

  /** Where others find its bus. */
  String busAddress() {
    NodeInfo info = manager.getNodeInfo();
    return info.host() + ":" + info.port();
  }

  /** Where the registry says that a node's bus is; empty where it knows no such node. */
  Future<Optional<String>> busAddress(String node) {
    Promise<NodeInfo> found = Promise.promise();
    manager.getNodeInfo(node, found);
    return found
        .future()
        .map(info -> Optional.of(info.host() + ":" + info.port()))
        .otherwise(Optional.empty());
  }

  /** Names of all members, this node's among them. */
  List<String> members() {
    return manager.getNodes();
  }

  void send(String node, Buffer bytes) {
    bus.send(node, bytes);
  }

  /** Leaves the others in order. */
  Future<Void> leave() {
    return vertx.close();
  }

  /**
   * Ends at once: who was thrown out would wait for those who do not listen. The port of membership
   * is free when it is done; what else the old life had goes behind it, or fails, which is as well.
   */
  Future<Void> abandon() {
    Promise<Void> ended = Promise.promise();
    Thread.ofPlatform()
        .name("cluster-leave")
        .daemon()
        .start(
            () -> {
              try {
                manager.getHazelcastInstance().getLifecycleService().terminate();
              } catch (RuntimeException failed) {
                LOG.warn("The old membership did not end as it should", failed);
              } finally { // or the node would stay fenced for ever
                ended.complete();
                vertx.close();
              }
            });
    return ended.future();
  }

  private static EventBusOptions busOptions(ClusterConfig cluster) {
    EventBusOptions options =
        new EventBusOptions()
            .setHost(cluster.host())
            .setPort(cluster.busPort())
            .setClusterPingInterval(PING_MILLIS)
            .setClusterPingReplyInterval(PING_MILLIS)
            .setConnectTimeout(PING_MILLIS)
            .setTcpNoDelay(true);
    cluster.publicHost().ifPresent(options::setClusterPublicHost);
    cluster
        .tls()
        .ifPresent(
            tls ->
                options
                    .setSsl(true)
                    .setClientAuth(ClientAuth.REQUIRED)
                    .setKeyCertOptions(Trust.own(tls))
                    .setTrustOptions(Trust.others(tls)));
    return options;
  }

  static Config settings(ClusterConfig cluster) throws IOException {
    Config settings;
    try (InputStream in =
        cluster.settings().isPresent()
            ? Files.newInputStream(cluster.settings().get())
            : ClusterConfig.class.getResourceAsStream("/hazelcast.xml")) {
      if (in == null) {
        throw new IOException("hazelcast.xml is missing from the jar");
      }
      settings = new XmlConfigBuilder(in).build();
    }
    settings.setClassLoader(Membership.class.getClassLoader());
    settings.setClusterName(secretName(cluster));
    NetworkConfig network = settings.getNetworkConfig();
    network.setPort(cluster.port()).setPortAutoIncrement(false).setReuseAddress(true);
    network.getInterfaces().setEnabled(false);
    if (!isWildcard(cluster.host())) { // else Hazelcast binds all interfaces, as it does by itself
      settings.setProperty("hazelcast.local.localAddress", cluster.host());
      settings.setProperty("hazelcast.socket.bind.any", "false");
      settings.setProperty("hazelcast.socket.server.bind.any", "false");
    }
    cluster.publicHost().ifPresent(host -> network.setPublicAddress(host + ":" + cluster.port()));
    discover(cluster, network.getJoin());
    JavaSerializationFilterConfig filter =
        new JavaSerializationFilterConfig().setDefaultsDisabled(true);
    SERIALIZABLE.forEach(filter.getWhitelist()::addPrefixes);
    NOT_SERIALIZABLE.forEach(filter.getBlacklist()::addPrefixes);
    settings.getSerializationConfig().setJavaSerializationFilterConfig(filter);
    return settings;
  }

  private static void discover(ClusterConfig cluster, JoinConfig join) {
    join.getMulticastConfig().setEnabled(false);
    join.getAutoDetectionConfig().setEnabled(false);
    join.getTcpIpConfig().setEnabled(cluster.kubernetesService().isEmpty());
    // Each round of looking for others takes as long while one of them is not there.
    join.getTcpIpConfig().setConnectionTimeoutSeconds(LOOK_SECONDS);
    cluster.members().forEach(join.getTcpIpConfig()::addMember);
    cluster
        .kubernetesService()
        .ifPresent(
            service ->
                join.getKubernetesConfig()
                    .setEnabled(true)
                    .setProperty("service-dns", service)
                    .setProperty("service-port", String.valueOf(cluster.port())));
  }

  private static boolean isWildcard(String host) {
    return host.equals("0.0.0.0") || host.equals("::");
  }

  /**
   * Members of another name are refused before anything else is read of them. So the secret is part
   * of the name: no proof, for it is sent in the clear, but a door that a scanner finds closed.
   */
  private static String secretName(ClusterConfig cluster) {
    if (cluster.secret().isEmpty()) {
      return cluster.name();
    }
    byte[] key = Seal.key("name\n" + cluster.name() + "\n" + cluster.secret().get());
    return cluster.name() + "-" + HexFormat.of().formatHex(key, 0, NAME_BYTES);
  }
}
