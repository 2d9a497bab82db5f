package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.util.Base64;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bus over mutual TLS. Costs about five seconds: two nodes that start. */
class ClusterTlsIT {
  private static final char[] PASSWORD = "changeit".toCharArray();

  @TempDir private Path directory;

  private String pem(String type, byte[] bytes) {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
    return "-----BEGIN %s-----\n%s\n-----END %s-----\n".formatted(type, text, type);
  }

  /** A certificate that signs itself is its own authority. */
  private String[] flags() throws Exception {
    Path store = directory.resolve("node.p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "node",
                "-keyalg",
                "EC",
                "-dname",
                "CN=verdier",
                "-ext",
                "san=ip:127.0.0.1,dns:localhost",
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass",
                new String(PASSWORD))
            .redirectErrorStream(true)
            .start();
    String output = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(keytool.waitFor()).as(output).isZero();
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(store)) {
      keys.load(in, PASSWORD);
    }
    Key key = keys.getKey("node", PASSWORD);
    Path certificate = directory.resolve("node.crt");
    Path privateKey = directory.resolve("node.key");
    Files.writeString(certificate, pem("CERTIFICATE", keys.getCertificate("node").getEncoded()));
    Files.writeString(privateKey, pem("PRIVATE KEY", key.getEncoded()));
    return new String[] {
      "--backend=null",
      "--cluster-secret=the secret of this test",
      "--cluster-tls-cert=" + certificate,
      "--cluster-tls-key=" + privateKey,
      "--cluster-tls-ca=" + certificate
    };
  }

  @Test
  void bus_mutualTls_servesItsNodesAndNobodyElse() throws Exception {
    try (ClusterFixture cluster = ClusterFixture.of(2, flags())) {
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
