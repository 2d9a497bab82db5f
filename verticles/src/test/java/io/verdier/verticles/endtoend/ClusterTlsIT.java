package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The bus and the links to a cache node, over mutual TLS. Costs twenty seconds: six nodes start.
 */
class ClusterTlsIT {
  @TempDir private Path directory;

  @Test
  void bus_mutualTls_servesItsNodesAndNobodyElse() throws Exception {
    List<String> flags = new ArrayList<>(NodeCertificates.flags(directory));
    flags.add("--backend=null");
    try (ClusterFixture cluster = ClusterFixture.of(2, flags.toArray(String[]::new))) {
      cluster.add("engine", "engine");
      ClusterFixture.Node ingress = cluster.add("ingress", "http");
      cluster.awaitReady(2);
      Client.Answer answer =
          ingress.client().post("/v1/completions", Map.of("prompt", "Hi", "max_tokens", 50));
      assertThat(answer.status()).as(answer.body()).isEqualTo(200);
      assertThat(answer.json().at("/usage/completion_tokens").asInt()).isEqualTo(50);
      String address = ingress.status().get("nodes").get(0).get("bus").asText();
      int port = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
      assertPlainIsCut(port);
      assertTlsWithoutCertificateIsCut(port);
    }
  }

  @Test
  void cacheNode_mutualTls_keepsBlocksOfItsEnginesAndHearsNobodyElse() throws Exception {
    List<String> flags = new ArrayList<>(NodeCertificates.flags(directory));
    flags.add("--cluster-routing-policy=round-robin");
    flags.add("--enable-prompt-tokens-details");
    flags.add("--cluster-cache-timeout=20");
    try (ClusterFixture cluster = ClusterFixture.of(4, flags.toArray(String[]::new))) {
      List<ClusterFixture.Node> engines = new ArrayList<>();
      for (String name : List.of("engine-1", "engine-2")) {
        engines.add(
            cluster.add(
                name, "engine", "--max-model-len=256", "--threads=1", "--kv-offloading-size=0.02"));
      }
      ClusterFixture.Node store = cluster.add("store", "cache", "--kv-offloading-size=0.1");
      ClusterFixture.Node ingress = cluster.add("ingress", "http");
      cluster.awaitReady(4);
      List<CacheNodeIT.Answer> answers = new ArrayList<>();
      ClusterFixture.await(
          () -> { // a prompt that nobody has seen: at one engine, and a moment later at the other
            int prompt = answers.size() + 1;
            answers.add(CacheNodeIT.ask(ingress.client(), prompt, ""));
            LockSupport.parkNanos(500_000_000);
            answers.add(CacheNodeIT.ask(ingress.client(), prompt, ""));
            return engines.stream().anyMatch(engine -> CacheNodeIT.tier(engine, "hits") > 0);
          },
          "no engine finds what the other has read");
      CacheNodeIT.Answer unseen = answers.get(answers.size() - 2);
      CacheNodeIT.Answer found = answers.get(answers.size() - 1);
      assertThat(unseen.cached()).isZero();
      assertThat(found.cached()).isPositive();
      assertThat(found.tokens()).isEqualTo(unseen.tokens());
      int port = CacheNodeIT.port(store);
      assertPlainIsCut(port);
      assertTlsWithoutCertificateIsCut(port);
    }
  }

  private static void assertPlainIsCut(int port) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.setSoTimeout(5000);
      socket.getOutputStream().write(new byte[64]);
      byte[] answer = socket.getInputStream().readNBytes(64); // an alert, then the end
      assertThat(answer.length).isLessThan(64);
    }
  }

  private static void assertTlsWithoutCertificateIsCut(int port) throws Exception {
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, new TrustManager[] {new Trusting()}, null);
    try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket()) {
      socket.connect(new java.net.InetSocketAddress(InetAddress.getLoopbackAddress(), port), 5000);
      socket.setSoTimeout(5000);
      socket.startHandshake();
      socket.getOutputStream().write(new byte[64]);
      assertThat(socket.getInputStream().read()).as("the end").isNegative();
    } catch (IOException refused) { // an alert, or the end, whichever is noticed first
      assertThat(refused.getMessage()).isNotEmpty();
    }
  }

  /** A client that believes every server. */
  private static final class Trusting implements X509TrustManager {
    @Override
    public void checkClientTrusted(java.security.cert.X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(java.security.cert.X509Certificate[] chain, String type) {}

    @Override
    public java.security.cert.X509Certificate[] getAcceptedIssuers() {
      return new java.security.cert.X509Certificate[0];
    }
  }
}
