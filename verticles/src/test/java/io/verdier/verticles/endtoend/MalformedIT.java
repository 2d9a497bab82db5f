package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * Bytes that are no request, over raw sockets, against a whole server: each is refused, and the
 * next client is served.
 */
class MalformedIT {
  private static final long SEED = Long.getLong("seed", 20261123L);
  private static final String JSON = "Host: x\r\nContent-Type: application/json\r\n";

  private static final List<String> REQUESTS =
      List.of(
          "\r\n\r\n\r\n",
          "HELLO\r\n\r\n",
          "GET\r\n\r\n",
          "GET /health\r\n\r\n",
          "GET /health HTTP/1.1\r\n\r\n",
          "GET /health HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
          "GET /" + "a".repeat(20_000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
          "POST /v1/completions HTTP/1.1\r\n" + JSON + "Content-Length: -5\r\n\r\n{}",
          "POST /v1/completions HTTP/1.1\r\n"
              + JSON
              + "Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
          "POST /v1/completions HTTP/1.1\r\n" + JSON + "Content-Length: 99999999999\r\n\r\n{",
          "POST /v1/completions HTTP/1.1\r\n"
              + JSON
              + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
          "POST /v1/completions HTTP/1.1\r\n"
              + JSON
              + "Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n",
          "POST /v1/completions HTTP/1.1\r\n" + JSON + "Content-Length: 9\r\n\r\n{\"prompt\"",
          "POST /v1/completions HTTP/1.1\r\n" + JSON + "Content-Length: 4\r\n\r\n[[[[",
          "POST /generate HTTP/1.1\r\n" + JSON + "Content-Length: 4\r\n\r\nnull");

  @Test
  void requests_malformed_areRefusedAndTheNextIsServed() throws Exception {
    try (InProcessServer server = InProcessServer.start()) {
      for (String request : REQUESTS) {
        String answer = say(server.server().port(), request.getBytes(StandardCharsets.ISO_8859_1));
        assertThat(answer).as(request).doesNotContain("HTTP/1.1 200").doesNotContain(" 500 ");
      }
      Random random = new Random(SEED);
      for (int i = 0; i < 200; i++) {
        byte[] noise = new byte[random.nextInt(400)];
        random.nextBytes(noise);
        assertThat(say(server.server().port(), noise))
            .as("seed %d, %d", SEED, i)
            .doesNotContain(" 200 ");
      }
      Client client = new Client(server.baseUrl());
      Map<String, Object> question =
          Map.of(
              "messages",
              List.of(Map.of("role", "user", "content", "What is a car?")),
              "temperature",
              0);
      assertThat(client.post("/v1/chat/completions", question).body())
          .contains("A car, or a motor car");
      server.awaitIdle();
    }
  }

  /** What comes back before the server closes, or falls silent. */
  private static String say(int port, byte[] request) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.setSoTimeout(150);
      socket.getOutputStream().write(request);
      socket.shutdownOutput();
      StringBuilder answer = new StringBuilder();
      byte[] part = new byte[4096];
      for (int read = socket.getInputStream().read(part);
          read > 0;
          read = socket.getInputStream().read(part)) {
        answer.append(new String(part, 0, read, StandardCharsets.ISO_8859_1));
      }
      return answer.toString();
    } catch (IOException silentOrReset) {
      return "";
    }
  }
}
