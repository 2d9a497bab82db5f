package io.verdier.cache.outbound;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where requests may go, and that they go nowhere else. */
class OutboundPolicyTest {
  private final List<String> authorizations = new CopyOnWriteArrayList<>();
  private final AtomicInteger canary = new AtomicInteger();
  private HttpServer allowed;
  private HttpServer forbidden;
  private volatile String target = "";

  @BeforeEach
  void start() throws IOException {
    allowed = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    forbidden = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    allowed.createContext(
        "/",
        exchange -> {
          authorizations.add(
              String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
          boolean redirects = exchange.getRequestURI().getPath().equals("/redirect");
          if (redirects) {
            exchange.getResponseHeaders().set("Location", target);
          }
          exchange.sendResponseHeaders(redirects ? 302 : 200, -1);
          exchange.close();
        });
    forbidden.createContext(
        "/",
        exchange -> {
          canary.incrementAndGet();
          authorizations.add(
              String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    allowed.start();
    forbidden.start();
  }

  @AfterEach
  void stop() {
    allowed.stop(0);
    forbidden.stop(0);
  }

  private static Authority authority(HttpServer server) {
    return new Authority("127.0.0.1", server.getAddress().getPort());
  }

  private static URI at(HttpServer server, String path) {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + path);
  }

  private int get(OutboundPolicy policy, URI uri) throws IOException {
    try (OutboundClient client = new OutboundClient(policy, 60);
        OutboundClient.Answer answer =
            client.send(OutboundClient.Ask.get(uri, Map.of("Authorization", "Bearer s3cr3t")))) {
      return answer.status();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::ffff:0:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b:0:0:1::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "4000::1"
      })
  void address_special_isNotPublic(String literal) throws UnknownHostException {
    assertThat(PublicAddress.is(literal)).isFalse();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "168.63.129.17",
        "199.36.153.8",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::808:808",
        "2002:808:808::1"
      })
  void address_ofTheInternet_isPublic(String literal) throws UnknownHostException {
    assertThat(PublicAddress.is(literal)).isTrue();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "jar:file:/x!/y",
        "https://user:password@example.org/x", "https:///x", "https:example.org", "gopher://x/"
      })
  void check_notPlainHttps_isRefused(String uri) {
    OutboundPolicy policy = new OutboundPolicy(Set.of());
    assertThatThrownBy(() -> policy.check(URI.create(uri))).isInstanceOf(OutboundException.class);
  }

  /** Ways to write the loopback and the metadata address; nothing may reach the canary. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fe80::1%25lo]",
        "[::1%25lo]",
        "017700000001",
        "127.0.0.1.",
        "localhost."
      })
  void send_privateHost_connectsNowhere(String host) {
    int port = forbidden.getAddress().getPort();
    URI uri = URI.create("https://" + host + ":" + port + "/x");
    assertThatThrownBy(() -> get(new OutboundPolicy(Set.of()), uri))
        .satisfies(
            refused ->
                assertThat(refused)
                    .isInstanceOfAny(OutboundException.class, UnknownHostException.class));
    assertThat(canary).hasValue(0);
  }

  @Test
  void send_allowedAuthority_isAskedAndNoOther() throws IOException {
    OutboundPolicy policy = new OutboundPolicy(Set.of(authority(allowed)));
    assertThat(get(policy, at(allowed, "/x"))).isEqualTo(200);
    assertThatThrownBy(() -> get(policy, at(forbidden, "/x")))
        .isInstanceOf(OutboundException.class);
    assertThat(canary).hasValue(0);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "http://127.0.0.1:%d/x",
        "https://127.0.0.1:%d/x",
        "//127.0.0.1:%d/x",
        "file:///etc/passwd",
        "http://169.254.169.254/computeMetadata/v1/",
        "https://localhost:%d/",
        "http://[::1]:%d/"
      })
  void send_redirectedElsewhere_isRefused(String location) {
    target = location.formatted(forbidden.getAddress().getPort());
    OutboundPolicy policy = new OutboundPolicy(Set.of(authority(allowed)));
    assertThatThrownBy(() -> get(policy, at(allowed, "/redirect")))
        .isInstanceOf(OutboundException.class);
    assertThat(canary).hasValue(0);
  }

  /** Loopback is allowed at one port; the same host's other ports and other names are not. */
  @Test
  void send_otherWaysToTheAllowedHost_areRefused() {
    int port = allowed.getAddress().getPort();
    OutboundPolicy policy = new OutboundPolicy(Set.of(authority(allowed)));
    for (String host : List.of("localhost", "[::1]", "127.1", "[::ffff:127.0.0.1]", "127.0.0.2")) {
      for (String scheme : List.of("http", "https")) {
        URI uri = URI.create("%s://%s:%d/x".formatted(scheme, host, port));
        assertThatThrownBy(() -> get(policy, uri))
            .as("%s", uri)
            .isInstanceOfAny(OutboundException.class, UnknownHostException.class);
      }
    }
    assertThat(authorizations).isEmpty();
  }

  @Test
  void send_redirectedToAnotherOrigin_leavesCredentialsBehind() throws IOException {
    target = at(forbidden, "/x").toString();
    OutboundPolicy both = new OutboundPolicy(Set.of(authority(allowed), authority(forbidden)));
    assertThat(get(both, at(allowed, "/redirect"))).isEqualTo(200);
    assertThat(authorizations).containsExactly("Bearer s3cr3t", "null");
  }

  @Test
  void send_redirectedToItself_keepsCredentialsAndEnds() {
    target = "/redirect";
    OutboundPolicy policy = new OutboundPolicy(Set.of(authority(allowed)));
    assertThatThrownBy(() -> get(policy, at(allowed, "/redirect")))
        .hasMessageContaining("more than 5 times");
    assertThat(authorizations).hasSize(6).containsOnly("Bearer s3cr3t");
  }

  /** What comes before a body is bounded as well: it would fill the memory else, or never end. */
  @ParameterizedTest
  @ValueSource(
      strings = {"HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 ", "\r\n", "100"})
  void send_answerThatBeginsForEver_isGivenUp(String kind) throws Exception {
    boolean isHeaders = kind.endsWith("OK\r\n");
    String more =
        kind.equals("100")
            ? "HTTP/1.1 100 Continue\r\n\r\n"
            : isHeaders ? "x: y\r\n" : "x".repeat(1000);
    AtomicInteger sent = new AtomicInteger();
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.ofLiteral("127.0.0.1"))) {
      Thread hostile = Thread.ofVirtual().start(() -> sendForEver(server, kind, more, sent));
      Authority place = new Authority("127.0.0.1", server.getLocalPort());
      URI uri = URI.create("http://127.0.0.1:" + place.port() + "/x");
      assertThatThrownBy(() -> get(new OutboundPolicy(Set.of(place)), uri))
          .isInstanceOf(OutboundException.class)
          .hasMessageContaining("begins with more than is read");
      hostile.join();
    }
    assertThat(sent.get()).as("as much as buffers hold").isLessThan(32 << 20);
  }

  private static void sendForEver(
      ServerSocket server, String begin, String more, AtomicInteger sent) {
    try (Socket client = server.accept()) {
      OutputStream out = client.getOutputStream();
      out.write(begin.equals("100") ? new byte[0] : begin.getBytes(StandardCharsets.US_ASCII));
      byte[] piece = more.repeat(1000).getBytes(StandardCharsets.US_ASCII);
      while (sent.addAndGet(piece.length) < (64 << 20)) {
        out.write(piece);
      }
    } catch (IOException gone) {
      // The client has had enough.
    }
  }

  /** Whoever looks a name up a second time may get another answer; so nobody does. */
  @Test
  void send_nameRebound_connectsToWhatWasChecked() throws IOException {
    int port = allowed.getAddress().getPort();
    AtomicInteger lookups = new AtomicInteger();
    OutboundPolicy policy =
        new OutboundPolicy(
            Set.of(new Authority("rebind.test", port)),
            host -> {
              if (lookups.getAndIncrement() > 0) {
                throw new UnknownHostException("looked up twice");
              }
              return new InetAddress[] {InetAddress.getLoopbackAddress()};
            });
    assertThat(get(policy, URI.create("http://rebind.test:" + port + "/x"))).isEqualTo(200);
    assertThat(lookups).hasValue(1);
  }

  @Test
  void send_nameOfThePrivateHost_connectsNowhere() {
    OutboundPolicy policy =
        new OutboundPolicy(Set.of(), host -> new InetAddress[] {InetAddress.getLoopbackAddress()});
    URI uri = URI.create("https://rebind.test:" + forbidden.getAddress().getPort() + "/x");
    for (int attempt = 0; attempt < 100; attempt++) {
      assertThatThrownBy(() -> get(policy, uri)).isInstanceOf(OutboundException.class);
    }
    assertThat(canary).hasValue(0);
  }

  @Test
  void resolve_oneForbiddenAmongGood_refusesAll() {
    OutboundPolicy policy =
        new OutboundPolicy(
            Set.of(),
            host ->
                new InetAddress[] {InetAddress.ofLiteral("8.8.8.8"), InetAddress.ofLiteral("::1")});
    assertThatThrownBy(() -> policy.resolve("mixed.test", 443))
        .isInstanceOf(OutboundException.class)
        .hasMessageNotContaining("::1");
  }

  @Test
  void parse_authorities_areRead() {
    assertThat(Authority.parse("Localhost:80")).isEqualTo(new Authority("localhost", 80));
    assertThat(Authority.parse("[::1]:8080")).isEqualTo(new Authority("::1", 8080));
    for (String wrong : List.of("localhost", "a:b", ":80", "a:99999", "http://a:80")) {
      assertThatThrownBy(() -> Authority.parse(wrong)).isInstanceOf(IllegalArgumentException.class);
    }
  }
}
