package io.verdier.verticles.endtoend;

import io.verdier.verticles.endtoend.ClusterFixture.Place;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A second host on this machine: a network namespace with two wires to the first, one for the
 * cluster, which can be cut, and one for the test's own questions. Owned by the test's thread.
 *
 * <p>Needs root and a kernel that allows it. Addresses are of 198.18.0.0/15, which RFC 2544 keeps
 * for tests of devices.
 */
final class NetworkNamespace implements AutoCloseable {
  private static final int NETWORKS = 128;

  private final String name;
  private final String outside; // name of the wire's end here; its peer there has an x at its end
  private final int network = (int) (ProcessHandle.current().pid() % NETWORKS);

  private NetworkNamespace() {
    long pid = ProcessHandle.current().pid();
    name = "verdier-" + pid;
    outside = "v" + pid % 1_000_000;
  }

  /** Makes one, or says why that cannot be. */
  static Optional<NetworkNamespace> tryMake(List<String> problems) {
    NetworkNamespace made = new NetworkNamespace();
    try {
      made.make();
      return Optional.of(made);
    } catch (IllegalStateException | UncheckedIOException refused) {
      problems.add(String.valueOf(refused.getMessage()));
      made.close();
      return Optional.empty();
    }
  }

  private void make() {
    run("ip", "netns", "add", name);
    run("ip", "-n", name, "link", "set", "lo", "up");
    wire("c", 18);
    wire("t", 19);
  }

  private void wire(String kind, int net) {
    String here = outside + kind;
    String there = here + "x";
    run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name);
    run("ip", "addr", "add", address(net, 1) + "/30", "dev", here);
    run("ip", "link", "set", here, "up");
    run("ip", "-n", name, "addr", "add", address(net, 2) + "/30", "dev", there);
    run("ip", "-n", name, "link", "set", there, "up");
  }

  private String address(int net, int host) {
    return "198." + net + "." + network + "." + host;
  }

  /** For nodes on this side of the wire. */
  Place here() {
    return new Place(List.of(), "127.0.0.1", address(18, 1));
  }

  /** For nodes on the other side. */
  Place there() {
    return new Place(List.of("ip", "netns", "exec", name), address(19, 2), address(18, 2));
  }

  /** From now on nothing that one side sends comes to the other, and neither is told. */
  void cut() {
    run("ip", "-n", name, "link", "set", outside + "cx", "down");
  }

  void mend() {
    run("ip", "-n", name, "link", "set", outside + "cx", "up");
  }

  @Override
  public void close() {
    for (String kind : List.of("c", "t")) {
      tryRun("ip", "link", "del", outside + kind);
    }
    tryRun("ip", "netns", "del", name);
  }

  private static void run(String... command) {
    String problem = tryRun(command);
    if (!problem.isEmpty()) {
      throw new IllegalStateException(String.join(" ", command) + ": " + problem);
    }
  }

  /** What it says where it fails, else nothing. */
  private static String tryRun(String... command) {
    try {
      Process process =
          new ProcessBuilder(new ArrayList<>(List.of(command))).redirectErrorStream(true).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return process.waitFor() == 0 ? "" : output.strip() + " (status " + process.exitValue() + ")";
    } catch (IOException missing) {
      throw new UncheckedIOException(missing);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(interrupted);
    }
  }
}
