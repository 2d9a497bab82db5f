package io.verdier.verticles.endtoend;

import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.ServerProcess;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A model in stages, each a process on the loopback interface. Owned by the test's thread. A
 * process takes about a second of a core to start; they start together.
 */
final class PipelineFixture implements AutoCloseable {

  final int masterPort;
  private final List<ServerProcess> nodes = new ArrayList<>();

  /**
   * @param count of stages and nodes
   * @param flags of all
   */
  PipelineFixture(int count, String... flags) {
    masterPort = FreePorts.row(count - 1);
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

  @Override
  public void close() {
    nodes.forEach(ServerProcess::close);
  }
}
