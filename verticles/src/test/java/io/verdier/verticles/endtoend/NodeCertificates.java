package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.util.Base64;
import java.util.List;

/** A certificate of nodes on the loopback interface. Stateless; making one takes half a second. */
final class NodeCertificates {
  private static final char[] PASSWORD = "changeit".toCharArray();

  private NodeCertificates() {}

  private static String pem(String type, byte[] bytes) {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
    return "-----BEGIN %s-----\n%s\n-----END %s-----\n".formatted(type, text, type);
  }

  /**
   * Flags of nodes that believe each other and nobody else. A certificate that signs itself is its
   * own authority.
   *
   * @param directory of the files
   */
  static List<String> flags(Path directory) throws Exception {
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
    return List.of(
        "--cluster-secret=the secret of this test",
        "--cluster-tls-cert=" + certificate,
        "--cluster-tls-key=" + privateKey,
        "--cluster-tls-ca=" + certificate);
  }
}
