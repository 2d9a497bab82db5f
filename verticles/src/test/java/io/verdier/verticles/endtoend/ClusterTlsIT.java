package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bus over mutual TLS. Costs about five seconds: two nodes that start. */
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
