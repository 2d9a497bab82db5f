package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

@SuppressWarnings("StringConcatToTextBlock") // line ends are CR LF here
class BodyBudgetTest {
  private static final int BUDGET = 300_000;

  @Test
  void bodies_tooManyBytesAtOnce_laterOnesWait() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(
            options -> {
              options.bodiesBytes = BUDGET;
              options.overloadStatus = 429;
            })) {
      BodyBudget bodies = server.admission.bodies();
      String large = "{\"prompt\":\"" + "x".repeat(150_000) + "\"}"; // decoded off the loop
      try (Socket slow = server.socket()) {
        String head =
            "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + "Content-Length: 250000\r\n\r\n";
        slow.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
        slow.getOutputStream().write(new byte[200_000]);
        HttpFixture.await(() -> bodies.held() == 200_000);
        HttpResponse<String> refused = server.post("/v1/completions", large);
        assertThat(refused.statusCode()).as(refused.body()).isEqualTo(429);
        assertThat(refused.body()).contains("receiving 300000 bytes of request bodies");
        assertThat(refused.headers().firstValue("Retry-After")).hasValue("1");
        assertThat(server.post("/v1/completions", "{\"prompt\":\"a\"}").statusCode())
            .isEqualTo(200);
      }
      HttpFixture.await(() -> bodies.held() == 0); // the client of the slow one has left
      for (int i = 0; i < 4; i++) {
        assertThat(server.post("/v1/completions", large).statusCode()).isEqualTo(200);
      }
      assertThat(server.post("/v1/completions", large.replace(':', ';')).statusCode())
          .isEqualTo(400);
      assertThat(bodies.held()).isZero();
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }
}
