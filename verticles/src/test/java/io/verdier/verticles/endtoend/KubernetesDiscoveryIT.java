package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Nodes that find each other as pods do: by a name with every pod's address, all on one port. The
 * names come from a file, as the JDK allows; each address is a loopback one of its own. Costs about
 * five seconds: two nodes that start.
 */
class KubernetesDiscoveryIT {
  private static final String SERVICE = "verdier-nodes.models.svc";

  @TempDir private Path directory;

  @Test
  void service_addressesOfItsPods_areTheMembers() throws IOException {
    Path hosts = directory.resolve("hosts");
    Files.writeString(hosts, "127.0.0.2 " + SERVICE + "\n127.0.0.3 " + SERVICE + "\n");
    int port = portOfBoth();
    try (ServerProcess engine = pod(hosts, "127.0.0.2", port, "engine", "--backend=null");
        ServerProcess ingress = pod(hosts, "127.0.0.3", port, "http")) {
      engine.awaitReady();
      ingress.awaitReady();
      Client client = new Client(ingress.baseUrl());
      ClusterFixture.await(() -> nodes(client) == 2, "the ingress has not found the engine");
      Client.Answer answer =
          client.post("/v1/completions", Map.of("prompt", "Hi", "max_tokens", 50));
      assertThat(answer.status()).as(answer.body()).isEqualTo(200);
      assertThat(answer.json().at("/usage/completion_tokens").asInt()).isEqualTo(50);
    }
  }

  private static int nodes(Client client) {
    return client.get("/cluster").json().get("nodes").size();
  }

  private static ServerProcess pod(
      Path hosts, String address, int port, String role, String... own) {
    String[] flags = {
      "serve",
      "--host=127.0.0.1",
      "--port=0",
      "--cluster",
      "--roles=" + role,
      "--cluster-host=" + address,
      "--cluster-port=" + port,
      "--cluster-kubernetes-service=" + SERVICE
    };
    String[] all = new String[flags.length + own.length];
    System.arraycopy(flags, 0, all, 0, flags.length);
    System.arraycopy(own, 0, all, flags.length, own.length);
    return ServerProcess.startedWith(ServerProcess.SMALL + " -Djdk.net.hosts.file=" + hosts, all);
  }

  /** A port that is free at either address. */
  private static int portOfBoth() throws IOException {
    try (ServerSocket first = new ServerSocket();
        ServerSocket second = new ServerSocket()) {
      first.bind(new InetSocketAddress("127.0.0.2", 0));
      second.bind(new InetSocketAddress("127.0.0.3", first.getLocalPort()));
      return first.getLocalPort();
    }
  }
}
