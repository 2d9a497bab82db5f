package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What no HTTP library would send. */
@SuppressWarnings("StringConcatToTextBlock") // line ends are CR LF here
class RawHttpTest {
  private static final String JSON = "Content-Type: application/json\r\n";
  private static HttpFixture server;

  @BeforeAll
  static void start() throws Exception {
    server =
        HttpFixture.start(
            options -> {
              options.headerTimeout = Duration.ofMillis(500);
              options.bodyIdle = Duration.ofMillis(500);
              options.keepAlive = Duration.ofMillis(500);
              options.bodyBytes = 10_000;
            });
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  /** All that comes back until the connection closes. */
  private static String say(String request) throws IOException {
    try (Socket socket = server.socket()) {
      try {
        socket.getOutputStream().write(request.getBytes(StandardCharsets.ISO_8859_1));
        String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        // A request whose version could not be read is answered in the oldest one.
        return answer.replace("HTTP/1.0 ", "HTTP/1.1 ");
      } catch (java.net.SocketException reset) {
        return "";
      }
    }
  }

  @Test
  void request_malformed_oneJsonErrorAndClose() throws Exception {
    for (String request :
        List.of(
            "NONSENSE\r\n\r\n",
            "GET /health HTTP/1.1\r\n\r\n",
            "GET /health HTTP/1.1\r\nHost: x y\r\n\r\n",
            "GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET /health HTTP/1.1\r\nHo\0st: x\r\n\r\n",
            "POST /generate HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
            "POST /generate HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
            "POST /generate HTTP/1.1\r\nContent-Length: 5, 6\r\n\r\nhello",
            "POST /generate HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "POST /generate HTTP/1.1\r\nContent-Length: -1\r\n\r\nhello")) {
      String answer = say(request);
      assertThat(answer).as(request).startsWith("HTTP/1.1 400");
      assertThat(answer).as(request).contains("{\"error\":{\"message\":");
      assertThat(answer.split("HTTP/1.1 ")).as(request).hasSize(2);
    }
  }

  @Test
  void body_chunkTricks_neverASecondRequest() throws Exception {
    String head = "POST /generate HTTP/1.1\r\nHost: x\r\n" + JSON;
    for (String request :
        List.of(
            head + "Transfer-Encoding: chunked\r\n\r\n100000004\r\n{}\r\n0\r\n\r\n",
            head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            head + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            head + "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            head
                + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
                + "GET /version HTTP/1.1\r\nHost: x\r\n\r\n",
            head
                + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
                + "0\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n",
            head
                + "Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n"
                + "GET /version HTTP/1.1\r\nHost: x\r\n\r\n",
            head
                + "Transfer-Encoding: chunked\r\n\r\n2;a=\"\r\n{}\r\n0\r\n\r\n"
                + "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            head
                + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"
                + "GET /version HTTP/1.1\r\nHost: x\r\n\r\n",
            head
                + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                + "GET /version HTTP/1.1\r\nHost: x\r\n\r\n")) {
      String answer = say(request);
      assertThat(answer).as(request).doesNotContain("1.2.3");
      assertThat(answer).as(request).doesNotContain("HTTP/1.1 200");
    }
    HttpFixture.await(() -> server.admission.taken() == 0);
  }

  @Test
  void limits_lineHeadersBody_refused() throws Exception {
    assertThat(say("GET /" + "a".repeat(10_000) + " HTTP/1.1\r\nHost: x\r\n\r\n"))
        .startsWith("HTTP/1.1 414");
    assertThat(say("GET /health HTTP/1.1\r\nHost: x\r\nX: " + "a".repeat(20_000) + "\r\n\r\n"))
        .startsWith("HTTP/1.1 431");
    assertThat(say("GET /health HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n".repeat(10_000) + "\r\n"))
        .startsWith("HTTP/1.1 431");
    assertThat(say("GET /health HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n".repeat(100) + "\r\n"))
        .startsWith("HTTP/1.1 431");
    assertThat(say("GET /health HTTP/1.1\r\nHost: x\r\n" + "X: y\r\n".repeat(99) + "\r\n"))
        .startsWith("HTTP/1.1 200");
    assertThat(
            say(
                "POST /generate HTTP/1.1\r\nHost: x\r\n"
                    + JSON
                    + "Content-Length: 10737418240\r\n\r\n{"))
        .startsWith("HTTP/1.1 413")
        .contains("larger than 10000 bytes");
    String chunks = "400\r\n" + " ".repeat(1024) + "\r\n";
    assertThat(
            say(
                "POST /generate HTTP/1.1\r\nHost: x\r\n"
                    + JSON
                    + "Transfer-Encoding: chunked\r\n\r\n"
                    + chunks.repeat(11)))
        .startsWith("HTTP/1.1 413");
  }

  @Test
  void media_wrongTypeOrEncoding_refused() throws Exception {
    String close = "Connection: close\r\nContent-Length: 2\r\n";
    assertThat(
            say(
                "POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
                    + close
                    + "\r\n{}"))
        .startsWith("HTTP/1.1 400")
        .contains("Only 'application/json' is allowed");
    assertThat(say("POST /generate HTTP/1.1\r\nHost: x\r\n" + close + "\r\n{}"))
        .startsWith("HTTP/1.1 400");
    assertThat(
            say(
                "POST /generate HTTP/1.1\r\nHost: x\r\n"
                    + JSON
                    + "Content-Encoding: gzip\r\n"
                    + close
                    + "\r\n{}"))
        .startsWith("HTTP/1.1 415");
    String type = "Content-Type: Application/JSON; charset=utf-8\r\n";
    assertThat(say("POST /generate HTTP/1.1\r\nHost: x\r\n" + type + close + "\r\n{}"))
        .contains("The body must have instances");
  }

  @Test
  void slow_headersBodyOrSilence_closed() throws Exception {
    assertThat(say("GET /health HT")).isEmpty();
    assertThat(say("")).isEmpty();
    assertThat(say("GET /version HTTP/1.1\r\nHost: x\r\n\r\n")).endsWith("{\"version\":\"1.2.3\"}");
    assertThat(say("GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /ver"))
        .endsWith("{\"version\":\"1.2.3\"}");
    assertThat(say("POST /generate HTTP/1.1\r\nHost: x\r\n" + JSON + "Content-Length: 10\r\n\r\n{"))
        .startsWith("HTTP/1.1 408");
    HttpFixture.await(() -> server.admission.taken() == 0);
  }

  /** A byte now and then is no silence; the whole body has its time too. */
  @Test
  void slow_bodyThatTrickles_closedInTime() throws Exception {
    try (Socket socket = server.socket()) {
      OutputStream out = socket.getOutputStream();
      String head = "POST /generate HTTP/1.1\r\nHost: x\r\n" + JSON;
      out.write((head + "Content-Length: 1000\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
      int sent = 0;
      while (sent < 200 && socket.getInputStream().available() == 0) {
        out.write(' ');
        sent++;
        LockSupport.parkNanos(20_000_000);
      }
      assertThat(sent).isLessThan(200);
      byte[] answer = new byte[12];
      assertThat(socket.getInputStream().readNBytes(answer, 0, 12)).isEqualTo(12);
      assertThat(new String(answer, StandardCharsets.US_ASCII)).isEqualTo("HTTP/1.1 408");
    }
    HttpFixture.await(() -> server.admission.taken() == 0);
    assertThat(server.admission.bodies().held()).isZero();
  }

  @Test
  void expect_continue_onlyAfterTheGate() throws Exception {
    String expect = "Expect: 100-continue\r\nConnection: close\r\n";
    String answer =
        say(
            "POST /tokenize HTTP/1.1\r\nHost: x\r\n"
                + JSON
                + expect
                + "Content-Length: 14\r\n\r\n"
                + "{\"prompt\":\"x\"}");
    assertThat(answer).startsWith("HTTP/1.1 100 Continue").contains("\"count\":3");
    assertThat(
            say(
                "POST /tokenize HTTP/1.1\r\nHost: x\r\n"
                    + JSON
                    + expect
                    + "Content-Length: 99999\r\n\r\n"))
        .startsWith("HTTP/1.1 413");
  }

  @Test
  void target_tricks_neverAnotherRoute() throws Exception {
    for (String target :
        List.of(
            "http://x/version",
            "*",
            "//version",
            "/VERSION",
            "/version;x",
            "/%76ersion",
            "/./version",
            "/x/../version",
            "/version/")) {
      String answer = say("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      assertThat(answer).as(target).doesNotContain("1.2.3").containsPattern("HTTP/1.1 40[04]");
    }
    assertThat(say("GET /version?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        .contains("1.2.3");
  }

  @Test
  void upgrade_webSocketOrHttp2_notTaken() throws Exception {
    String upgrade = "Connection: Upgrade, HTTP2-Settings\r\n";
    assertThat(
            say(
                "GET /health HTTP/1.1\r\nHost: x\r\n"
                    + upgrade
                    + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"))
        .startsWith("HTTP/1.1 200");
    assertThat(
            say(
                "GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    + "Sec-WebSocket-Version: 13\r\n\r\n"))
        .startsWith("HTTP/1.1 400");
    assertThat(say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).startsWith("HTTP/2.0 501");
  }

  @Test
  void host_anyThatNamesAServer_taken() throws Exception {
    for (String host :
        List.of("my_service:8000", "[::1]:8000", "a.b-c.example.", "127.0.0.1", "")) {
      assertThat(say("GET /version HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"))
          .as(host)
          .startsWith("HTTP/1.1 200");
    }
    assertThat(say("GET /version HTTP/1.0\r\n\r\n")).startsWith("HTTP/1.1 200");
  }

  @Test
  void page_thenAnother_connectionKeptOrClosedAsAsked() throws Exception {
    String page = "GET /assets/ingress-test.html HTTP/1.1\r\nHost: x\r\n";
    assertThat(say(page + "\r\n" + page + "Connection: close\r\n\r\n").split("test page", -1))
        .hasSize(3);
    assertThat(say(page + "\r\n")).contains("test page"); // closed after the silence
    assertThat(say(page + "Content-Length: 9999999\r\n\r\nx"))
        .contains("Connection: close", "test page");
  }

  @Test
  void pipelined_twoRequests_answeredInOrder() throws Exception {
    String answer =
        say(
            "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
                + "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assertThat(answer).containsSubsequence("HTTP/1.1 200", "1.2.3", "HTTP/1.1 404");
  }
}
