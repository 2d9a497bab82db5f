package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.ServerProcess;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/**
 * Several servers on the loopback interface, processes of their own, that are one cluster. Owned by
 * the test's thread. A node takes about a second of a core to start; they start together.
 */
final class ClusterFixture implements AutoCloseable {
  static final String ADMIN = "admin-key";

  private final List<Integer> ports;
  private final List<String> members;
  private final List<String> flags;
  private final List<Node> nodes = Collections.synchronizedList(new ArrayList<>());

  /**
   * Where a node runs. Immutable.
   *
   * @param prefix what its command begins with
   * @param host address of HTTP
   * @param clusterHost address of both cluster ports
   */
  record Place(List<String> prefix, String host, String clusterHost) {
    static final Place HERE = new Place(List.of(), "127.0.0.1", "127.0.0.1");
  }

  /** One node; it keeps its name and ports when it is started again. */
  final class Node {
    final String name;
    private final List<String> arguments;
    private final Place place;
    ServerProcess process;

    private Node(String name, String roles, int port, Place place, List<String> own) {
      this.name = name;
      this.place = place;
      this.arguments =
          new ArrayList<>(
              List.of(
                  "serve",
                  "--host=" + place.host(),
                  "--port=0",
                  "--cluster",
                  "--roles=" + roles,
                  "--node-name=" + name,
                  "--cluster-host=" + place.clusterHost(),
                  "--cluster-port=" + port,
                  "--cluster-members=" + String.join(",", members),
                  "--admin-api-key=" + ADMIN));
      arguments.addAll(flags);
      arguments.addAll(own);
      this.process = launch();
    }

    private ServerProcess launch() {
      return ServerProcess.startedUnder(
          place.prefix(), ServerProcess.SMALL, arguments.toArray(String[]::new));
    }

    /** Starts the node anew, whose process has ended. */
    void restart() {
      process = launch();
    }

    String baseUrl() {
      return "http://" + place.host() + ":" + process.port();
    }

    Client client() {
      return new Client(baseUrl());
    }

    JsonNode status() {
      return client().get("/cluster").json();
    }

    double metric(String series) {
      return client()
          .get("/metrics")
          .body()
          .lines()
          .filter(line -> line.startsWith(series + "{") || line.startsWith(series + " "))
          .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)))
          .sum();
    }
  }

  private ClusterFixture(List<Integer> ports, List<String> members, String... flags) {
    this.ports = ports;
    this.members = members;
    this.flags = Arrays.asList(flags);
  }

  /**
   * No node yet.
   *
   * @param nodesMax that there will be at most
   * @param flags of all
   */
  static ClusterFixture of(int nodesMax, String... flags) {
    List<Integer> ports = FreePorts.several(nodesMax);
    List<String> members = ports.stream().map(port -> "127.0.0.1:" + port).toList();
    return new ClusterFixture(ports, members, flags);
  }

  /** The same, of nodes at addresses of their own: one for each. */
  static ClusterFixture at(List<Place> places, String... flags) {
    List<Integer> ports = FreePorts.several(places.size());
    List<String> members = new ArrayList<>();
    for (int i = 0; i < places.size(); i++) {
      members.add(places.get(i).clusterHost() + ":" + ports.get(i));
    }
    return new ClusterFixture(ports, members, flags);
  }

  /** One more node; it starts in the background. */
  Node add(String name, String roles, String... own) {
    return add(name, roles, Place.HERE, own);
  }

  /** The same, somewhere else. */
  Node add(String name, String roles, Place place, String... own) {
    Node node = new Node(name, roles, ports.get(nodes.size()), place, Arrays.asList(own));
    nodes.add(node);
    return node;
  }

  /** Waits until every node serves and sees so many. */
  void awaitReady(int count) {
    for (Node node : nodes) {
      node.process.awaitReady();
    }
    for (Node node : nodes) {
      await(() -> serving(node) == count, "not all nodes see each other");
    }
  }

  /** Nodes that serve, as one sees it. */
  static int serving(Node observer) {
    int serving = 0;
    for (JsonNode node : observer.status().get("nodes")) {
      serving +=
          node.get("phase").asText().equals("serving") && node.get("silent_ms").asInt() < 3000
              ? 1
              : 0;
    }
    return serving;
  }

  /** What one node knows of another; missing where it knows nothing. */
  static JsonNode told(Node observer, String name) {
    for (JsonNode node : observer.status().get("nodes")) {
      if (node.get("name").asText().equals(name)) {
        return node;
      }
    }
    return MissingNode.getInstance();
  }

  /** Sequences that a node's engine has, as another node knows. */
  static int live(Node observer, String name) {
    return told(observer, name).at("/load/live").asInt();
  }

  static void await(BooleanSupplier condition, String what) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(90); // of a busy machine
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as(what).isLessThan(deadline);
      LockSupport.parkNanos(20_000_000);
    }
  }

  /** What all nodes have printed, for a test that fails. */
  String output() {
    StringBuilder text = new StringBuilder();
    for (Node node : nodes) {
      text.append("---- ").append(node.name).append('\n').append(node.process.output());
      text.append('\n');
    }
    return text.toString();
  }

  @Override
  public void close() {
    nodes.forEach(node -> node.process.close());
  }
}
