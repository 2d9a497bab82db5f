package io.verdier.conf;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * How this node joins others. Immutable.
 *
 * @param enabled whether there are any others; where not, nothing else here is read but what {@code
 *     pipeline} needs
 * @param roles what this node does for the cluster
 * @param name of the cluster; nodes of another name are refused
 * @param nodeName shown to operators; empty: host and port
 * @param host address that both cluster ports are bound to
 * @param publicHost address under which other nodes reach it; empty: {@code host}
 * @param port of membership (Hazelcast)
 * @param busPort of messages (the event bus), 0: any
 * @param members {@code host:port} of some nodes to begin with
 * @param kubernetesService DNS name of a headless service whose addresses are the members
 * @param settings file of Hazelcast settings; empty: the built-in ones
 * @param secret shared by all nodes; empty: messages are only protected against accidents. Never
 *     log it
 * @param tls of the bus; empty: plain TCP
 * @param insecure whether the ports may be open to a network without both of them
 * @param silence after so much of it a node counts as gone
 * @param hang after so long a step counts as hung
 * @param routing which engine gets a request
 * @param cacheNodes how engines and nodes that keep their blocks speak with each other
 * @param nodesMin with fewer nodes in sight this one serves nothing
 * @param pipeline who else has layers of this node's model; the secret, TLS and both timeouts hold
 *     between them, too
 */
public record ClusterConfig(
    boolean enabled,
    Set<Role> roles,
    String name,
    Optional<String> nodeName,
    String host,
    Optional<String> publicHost,
    int port,
    int busPort,
    List<String> members,
    Optional<String> kubernetesService,
    Optional<Path> settings,
    Optional<String> secret,
    Optional<Tls> tls,
    boolean insecure,
    Duration silence,
    Duration hang,
    Routing routing,
    CacheNodes cacheNodes,
    int nodesMin,
    PipelineConfig pipeline) {

  public ClusterConfig {
    roles = Set.copyOf(roles);
    members = List.copyOf(members);
  }

  /** What a node does. */
  public enum Role {
    /** Takes requests of clients. */
    HTTP,
    /** Generates. */
    ENGINE,
    /** Keeps prefix blocks of the cluster's engines; beside an engine it changes nothing. */
    CACHE
  }

  /** Which engine gets a request. */
  public enum Routing {
    /** The one with the least to read and to do: what it has in its cache it need not read. */
    PREFIX,
    /** The one with the least to do. */
    LEAST_LOAD,
    /** The next one. */
    ROUND_ROBIN
  }

  /**
   * Between engines and the nodes that keep their prefix blocks. Immutable.
   *
   * @param port of a cache node for engines, 0: any
   * @param patience with a cache node that says nothing; then an engine computes
   */
  public record CacheNodes(int port, Duration patience) {}

  /**
   * Mutual TLS between nodes: each shows the certificate and asks the others for one of the same
   * authority.
   */
  public record Tls(Path certificate, Path key, Path authority) {}

  /** Whether this node takes requests; one without others does everything. */
  public boolean serves() {
    return !enabled || roles.contains(Role.HTTP);
  }

  /** Whether this node generates. */
  public boolean generates() {
    return !enabled || roles.contains(Role.ENGINE);
  }

  /** Whether this node keeps prefix blocks for engines of others. */
  public boolean keepsBlocks() {
    return enabled && roles.contains(Role.CACHE) && !generates();
  }

  /** Without the secret. */
  @Override
  public String toString() {
    return "ClusterConfig[enabled=" + enabled + ", roles=" + roles + ", name=" + name + "]";
  }
}
