package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.Submit;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

class ServerStateTest {
  private static final String BODY = "{\"prompt\":\"x\",\"stream\":true}";
  private static final String WHOLE = "{\"prompt\":\"x\"}";

  @Test
  void loading_work_refusedWithRetryAfter() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.ready = false)) {
      assertThat(server.get("/health").statusCode()).isEqualTo(503);
      assertThat(server.get("/aip/health").statusCode()).isEqualTo(503);
      HttpResponse<String> response = server.post("/v1/completions", WHOLE);
      assertThat(response.statusCode()).isEqualTo(503);
      assertThat(response.headers().firstValue("retry-after")).hasValue("1");
      assertThat(response.body()).contains("\"type\":\"ServiceUnavailableError\"");
      assertThat(server.get("/v1/models").statusCode()).isEqualTo(503);
      assertThat(server.get("/version").statusCode()).isEqualTo(200);
      server.announce(new ServerState.Ready(server.card));
      HttpFixture.await(() -> status(server, "/health") == 200);
      assertThat(server.post("/v1/completions", WHOLE).statusCode()).isEqualTo(200);
    }
  }

  private static int status(HttpFixture server, String path) {
    try {
      return server.get(path).statusCode();
    } catch (Exception failed) {
      throw new IllegalStateException(failed);
    }
  }

  @Test
  void instance_deployedLate_knowsTheState() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.deploy(1);
      for (int i = 0; i < 4; i++) {
        try (java.net.Socket socket = server.rawPost("/v1/completions", WHOLE)) {
          byte[] start = socket.getInputStream().readNBytes(12);
          assertThat(new String(start, StandardCharsets.US_ASCII)).isEqualTo("HTTP/1.1 200");
        }
      }
    }
  }

  @Test
  void draining_runningStreamsEnd_newWorkRefused() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.hold();
      CompletableFuture<HttpResponse<String>> running = sendAsync(server, BODY);
      Submit submit = server.engine.awaitSubmit();
      server.announce(new ServerState.Draining());
      HttpFixture.await(() -> status(server, "/health") == 503);
      HttpResponse<String> refused = server.post("/v1/completions", BODY);
      assertThat(refused.statusCode()).isEqualTo(503);
      assertThat(refused.headers().firstValue("connection")).hasValue("close");
      assertThat(refused.headers().firstValue("retry-after")).hasValue("1");
      server.engine.say(submit, "all", " of it");
      assertThat(running.get().body()).contains(" of it").endsWith("data: [DONE]\n\n");
    }
  }

  @Test
  void stopping_running_errorEventOrStatus() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.hold();
      CompletableFuture<HttpResponse<String>> stream = sendAsync(server, BODY);
      Submit first = server.engine.awaitSubmit();
      CompletableFuture<HttpResponse<String>> whole = sendAsync(server, WHOLE);
      Submit second = server.engine.awaitSubmit();
      server.engine.send(FakeEngine.text(first.keys()[0], "begun"));
      server.announce(new ServerState.Stopping());
      assertThat(stream.get().statusCode()).isEqualTo(200);
      assertThat(stream.get().body())
          .contains("begun", "data: {\"error\":{", "\"code\":503")
          .endsWith("data: [DONE]\n\n");
      assertThat(whole.get().statusCode()).isEqualTo(503);
      assertThat(
              new long[] {
                server.engine.awaitCancel().keys()[0], server.engine.awaitCancel().keys()[0]
              })
          .containsExactlyInAnyOrder(first.keys()[0], second.keys()[0]);
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  @Test
  void failed_anything_unhealthy() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.hold();
      CompletableFuture<HttpResponse<String>> whole = sendAsync(server, WHOLE);
      assertThat(server.engine.awaitSubmit().keys()).hasSize(1);
      server.announce(new ServerState.Failed("gone"));
      assertThat(whole.get().statusCode()).isEqualTo(503);
      assertThat(server.get("/health").statusCode()).isEqualTo(503);
      assertThat(server.post("/v1/completions", WHOLE).statusCode()).isEqualTo(503);
    }
  }

  private static CompletableFuture<HttpResponse<String>> sendAsync(
      HttpFixture server, String body) {
    return server.client.sendAsync(
        server
            .request("/v1/completions")
            .header("Content-Type", "application/json")
            .POST(java.net.http.HttpRequest.BodyPublishers.ofString(body))
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }
}
