package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.launch.ServerProcess;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/**
 * How long a newcomer waits: from the command to the whole first answer, in a process of its own.
 */
@Tag("alone")
class StartupIT {
  private static final int ATTEMPTS_MIN = 5;
  private static final int ATTEMPTS_MAX = 15;
  private static final long BOUND_MILLIS = 1500;

  /** What {@code java -version} takes at most where the bound is to hold as it is. */
  private static final double BARE_JVM_MILLIS = 70;

  private static final byte[] CHAT = chat();

  private static byte[] chat() {
    String body =
        """
        {"messages": [{"role": "user", "content": "What is a car?"}], "temperature": 0}""";
    String head =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + "Content-Type: application/json\r\nContent-Length: "
            + body.length()
            + "\r\n\r\n";
    return (head + body).getBytes(StandardCharsets.US_ASCII);
  }

  @Test
  void serve_demoModel_answersFirstRequestWithin1500Millis() throws Exception {
    long bound = (long) (BOUND_MILLIS * Math.max(1, bareJvmMillis() / BARE_JVM_MILLIS));
    List<Long> millis = new ArrayList<>();
    do {
      millis.add(firstAnswerMillis());
    } while (millis.size() < ATTEMPTS_MIN
        || (Collections.min(millis) > bound && millis.size() < ATTEMPTS_MAX));
    Collections.sort(millis);
    LoggerFactory.getLogger(StartupIT.class)
        .info("First whole answer after the command, ms, sorted: {}; bound {}", millis, bound);
    // The best of them: the bound is the server's, not that of whatever else the machine does.
    assertThat(millis.getFirst()).isLessThanOrEqualTo(bound);
  }

  /** The best of five starts of a JVM that does nothing: some machines are slow at that alone. */
  private static double bareJvmMillis() throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    long best = Long.MAX_VALUE;
    for (int i = 0; i < 5; i++) {
      long start = System.nanoTime();
      Process process = new ProcessBuilder(java, "-version").redirectErrorStream(true).start();
      process.getInputStream().readAllBytes();
      assertThat(process.waitFor()).isZero();
      best = Math.min(best, System.nanoTime() - start);
    }
    return best / 1e6;
  }

  private static long firstAnswerMillis() throws Exception {
    int port = FreePorts.one();
    long start = System.nanoTime();
    try (ServerProcess server = ServerProcess.serveAsShipped("--port=" + port)) {
      while (!answers(port)) {
        if (System.nanoTime() - start > 30_000_000_000L) {
          throw new IllegalStateException("no answer:\n" + server.output());
        }
        Thread.sleep(5);
      }
      return (System.nanoTime() - start) / 1_000_000;
    }
  }

  private static boolean answers(int port) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.getOutputStream().write(CHAT);
      InputStream in = socket.getInputStream();
      String answer = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return answer.startsWith("HTTP/1.1 200") && answer.contains("A car, or a motor car");
    } catch (IOException notYet) {
      return false;
    }
  }
}
