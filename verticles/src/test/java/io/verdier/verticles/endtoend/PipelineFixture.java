package io.verdier.verticles.endtoend;

import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A model in stages, each a process on the loopback interface. Owned by the test's thread. A
 * process takes about a second of a core to start; they start together.
 */
final class PipelineFixture implements AutoCloseable {
  private static final int PORTS_FIRST = 21_000;
  private static final int PORTS_LAST = 50_000;

  final int masterPort;
  private final List<ServerProcess> nodes = new ArrayList<>();

  /**
   * @param count of stages and nodes
   * @param flags of all
   */
  PipelineFixture(int count, String... flags) {
    masterPort = freePorts(count - 1);
    for (int node = 0; node < count; node++) {
      nodes.add(start(node, count, flags));
    }
  }

  /** One more process, as one of the nodes. */
  ServerProcess start(int node, int count, String... flags) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "serve",
                "--host=127.0.0.1",
                "--port=0",
                "--backend=cpu",
                "--threads=1",
                "--pipeline-parallel-size=" + count,
                "--node-rank=" + node,
                "--master-port=" + masterPort,
                "--distributed-timeout-seconds=60"));
    arguments.addAll(Arrays.asList(flags));
    return ServerProcess.startedWith(ServerProcess.SMALL, arguments.toArray(String[]::new));
  }

  ServerProcess node(int number) {
    return nodes.get(number);
  }

  /** Waits until requests are served. */
  Client awaitReady() {
    try {
      nodes.getFirst().awaitReady();
      return new Client(nodes.getFirst().baseUrl());
    } catch (RuntimeException failed) {
      throw new AssertionError(output(), failed);
    }
  }

  /** What all nodes have printed, for a test that fails. */
  String output() {
    StringBuilder text = new StringBuilder();
    for (ServerProcess node : nodes) {
      text.append("---- node ").append(nodes.indexOf(node)).append('\n').append(node.output());
      text.append('\n');
    }
    return text.toString();
  }

  /** The first of so many ports in a row that nobody has. */
  static int freePorts(int count) {
    int first = PORTS_FIRST + (int) (ProcessHandle.current().pid() % 8_000);
    while (first < PORTS_LAST) {
      if (areFree(first, count)) {
        return first;
      }
      first += count;
    }
    throw new IllegalStateException("no " + count + " free ports in a row");
  }

  private static boolean areFree(int first, int count) {
    for (int port = first; port < first + count; port++) {
      try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
        if (!socket.isBound()) {
          return false;
        }
      } catch (IOException taken) {
        return false;
      }
    }
    return true;
  }

  @Override
  public void close() {
    nodes.forEach(ServerProcess::close);
  }
}
