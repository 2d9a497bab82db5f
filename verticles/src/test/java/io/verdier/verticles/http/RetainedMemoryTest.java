package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a request that is being answered holds on the heap. */
class RetainedMemoryTest {
  private static final int REQUESTS = 4;
  private static final int PROMPT_CHARS = 8_000_000;

  /** Bodies, parsed values and prompts together would be several times the bound. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          /v1/completions      | {"prompt":"%s"}
          /v1/completions      | {"stream":true,"prompt":"%s"}
          /v1/chat/completions | {"messages":[{"role":"user","content":"%s"}]}
          /generate            | {"prompt":"%s","raw_response":true}
          """)
  void answer_underWay_keepsNeitherBodyNorPrompt(String path, String body) throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.bodyBytes = 16 << 20)) {
      server.engine.hold();
      List<Socket> sockets = new ArrayList<>();
      try {
        // The first request pays for classes, pools and buffers that stay.
        sockets.add(send(server, path, body));
        long before = settledBytes(0);
        for (int i = 0; i < REQUESTS; i++) {
          sockets.add(send(server, path, body));
        }
        long bound = before + (long) REQUESTS * PROMPT_CHARS / 2;
        assertThat(settledBytes(bound)).isLessThan(bound);
        HttpFixture.await(() -> server.admission.taken() == REQUESTS + 1);
      } finally {
        for (Socket socket : sockets) {
          socket.close();
        }
      }
    }
  }

  private static Socket send(HttpFixture server, String path, String body) throws Exception {
    Socket socket = server.rawPost(path, body.formatted("x".repeat(PROMPT_CHARS)));
    assertThat(server.engine.awaitSubmit().keys()).hasSize(1);
    return socket;
  }

  /** Bytes in use once the collector finds no more, or as few as {@code enough}. */
  private static long settledBytes(long enough) {
    long least = Long.MAX_VALUE;
    for (int i = 0; i < 10 && least > enough; i++) {
      System.gc();
      LockSupport.parkNanos(20_000_000);
      Runtime runtime = Runtime.getRuntime();
      least = Math.min(least, runtime.totalMemory() - runtime.freeMemory());
    }
    return least;
  }
}
