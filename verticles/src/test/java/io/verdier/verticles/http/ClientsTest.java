package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Submit;
import java.io.IOException;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

/** Clients that leave, do not read, or come in crowds. */
class ClientsTest {
  private static final String STREAM = "{\"prompt\":\"x\",\"stream\":true}";
  private static final String WHOLE = "{\"prompt\":\"x\"}";

  @Test
  void client_leavesBeforeAnswer_cancelledAtOnce() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.hold();
      for (String body : List.of(STREAM, WHOLE)) {
        Socket socket = server.rawPost("/v1/completions", body);
        Submit submit = server.engine.awaitSubmit();
        socket.close();
        Cancel cancel = server.engine.awaitCancel();
        assertThat(cancel.keys()).containsExactly(submit.keys());
        assertThat(cancel.reason()).isEqualTo(FinishReason.ABORT);
        assertThat(cancel.silent()).isFalse();
        HttpFixture.await(() -> server.admission.taken() == 0);
      }
      assertThat(server.metrics.text()).contains("finished_reason=\"abort\"} 2.0");
    }
  }

  @Test
  void client_leavesMidStream_cancelledOnceAndLateDeltasAreDropped() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.hold();
      server.engine.ignoreCancels();
      Socket socket = server.rawPost("/v1/completions", STREAM);
      long key = server.engine.awaitSubmit().keys()[0];
      server.engine.send(FakeEngine.text(key, "a"));
      assertThat(socket.getInputStream().read()).isEqualTo('H');
      socket.setSoLinger(true, 0);
      socket.close();
      assertThat(server.engine.awaitCancel().keys()).containsExactly(key);
      server.engine.send(FakeEngine.text(key, "late"));
      assertThat(server.post("/v1/completions", "{").statusCode()).isEqualTo(400);
      HttpFixture.await(() -> server.admission.taken() == 1);
      server.engine.abort(key);
      HttpFixture.await(() -> server.admission.taken() == 0);
      server.engine.abort(key); // an end too many
      assertThat(server.post("/v1/completions", "{").statusCode()).isEqualTo(400);
      HttpFixture.await(() -> server.admission.taken() == 0);
      assertThat(server.engine.cancelled).isEmpty();
    }
  }

  @Test
  void client_leavesWhileTokenizing_placeKeptAndCancelledBehindItsRequest() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.hold();
      server.engine.stallTokenizers();
      Socket socket = server.rawPost("/v1/completions", "{\"prompt\":[\"x\",\"y\",\"z\"],\"n\":2}");
      HttpFixture.await(() -> server.engine.tokenizing.size() == 3);
      socket.close();
      assertThat(server.engine.awaitCancel().keys()).hasSize(6);
      HttpFixture.await(() -> server.engine.tokenizing.size() == 6);
      HttpFixture.await(() -> server.admission.taken() == 6);
      server.engine.tokenize();
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  @Test
  void server_closedBeforeEndsAreBack_placesEven() throws Exception {
    HttpFixture server = HttpFixture.start();
    server.engine.hold();
    server.engine.ignoreCancels();
    Socket left = server.rawPost("/v1/completions", STREAM);
    long key = server.engine.awaitSubmit().keys()[0];
    left.close();
    assertThat(server.engine.awaitCancel().keys()).containsExactly(key);
    try (Socket waiting = server.rawPost("/v1/completions", STREAM)) {
      assertThat(server.engine.awaitSubmit().keys()).hasSize(1);
      HttpFixture.await(() -> server.admission.taken() == 2);
      server.close();
      HttpFixture.await(() -> server.admission.taken() == 0);
      assertThat(waiting.getInputStream().read()).isEqualTo(-1);
    }
  }

  @Test
  void answer_notYetWritten_keepsItsPlace() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.behave(submit -> server.engine.say(submit, "x".repeat(30_000_000)));
      try (Socket socket = server.rawPost("/v1/completions", WHOLE)) {
        HttpFixture.await(() -> server.metrics.text().contains("=\"stop\"} 1.0"));
        assertThat(socket.getInputStream().read()).isEqualTo('H');
        HttpFixture.await(() -> server.admission.taken() == 1);
        socket.getInputStream().skipNBytes(30_000_000);
        HttpFixture.await(() -> server.admission.taken() == 0);
      }
    }
  }

  @Test
  void reader_slow_cutAndCancelledWithinBound() throws Exception {
    HttpFixture server = HttpFixture.start(options -> options.streamBuffer = 256 * 1024);
    server.engine.hold();
    try (Socket socket = server.rawPost("/v1/completions", STREAM)) {
      long key = server.engine.awaitSubmit().keys()[0];
      String text = "x".repeat(1000);
      int sent = 0;
      while (server.engine.cancelled.isEmpty() && sent < 100_000) {
        server.engine.send(FakeEngine.text(key, text));
        sent++;
        if (sent % 100 == 0) {
          LockSupport.parkNanos(1_000_000);
        }
      }
      assertThat(server.engine.awaitCancel().keys()).containsExactly(key);
      HttpFixture.await(() -> server.admission.taken() == 0);
      assertClosedByServer(socket);
      assertClosesQuickly(server);
    }
  }

  @Test
  void reader_noneOfAWholeAnswer_cutAfterKeepAlive() throws Exception {
    HttpFixture server = HttpFixture.start(options -> options.keepAlive = Duration.ofMillis(200));
    server.engine.behave(submit -> server.engine.say(submit, "x".repeat(30_000_000)));
    try (Socket socket = server.rawPost("/v1/completions", WHOLE)) {
      assertClosedByServer(socket);
      HttpFixture.await(() -> server.admission.taken() == 0);
      assertClosesQuickly(server);
    }
  }

  @Test
  void server_closedWhileReaderIsSlow_closesQuickly() throws Exception {
    HttpFixture server = HttpFixture.start();
    server.engine.behave(submit -> server.engine.say(submit, "x".repeat(30_000_000)));
    try (Socket socket = server.rawPost("/v1/completions", WHOLE)) {
      assertThat(socket.getInputStream().read()).isEqualTo('H');
      assertClosesQuickly(server);
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  /** Reads nothing, so that only the server's own doing can close the connection. */
  private static void assertClosedByServer(Socket socket) {
    HttpFixture.await(
        () -> {
          LockSupport.parkNanos(5_000_000);
          try {
            socket.getOutputStream().write('x');
            return false;
          } catch (IOException reset) {
            return true;
          }
        });
  }

  private static void assertClosesQuickly(HttpFixture server) {
    assertThat(CompletableFuture.runAsync(server::close)).succeedsWithin(Duration.ofSeconds(2));
  }

  @Test
  void event_largerThanBound_isNotASlowReader() throws Exception {
    try (HttpFixture server = HttpFixture.start(options -> options.streamBuffer = 4096)) {
      String long1 = "x".repeat(100_000);
      server.engine.behave(submit -> server.engine.say(submit, long1, "end"));
      assertThat(server.post("/v1/completions", STREAM).body())
          .contains(long1)
          .endsWith("data: [DONE]\n\n");
    }
  }

  @Test
  void queue_full_refusedOnHeadersAlone() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(
            options -> {
              options.queued = 3;
              options.overloadStatus = 429;
            })) {
      server.engine.hold();
      try (Socket two =
              server.rawPost("/v1/completions", "{\"prompt\":\"x\",\"n\":2,\"temperature\":1}");
          Socket one = server.socket()) {
        Submit submit = server.engine.awaitSubmit();
        HttpFixture.await(() -> server.admission.taken() == 2);
        HttpResponse<String> tooMany =
            server.post("/v1/completions", "{\"prompt\":\"x\",\"n\":2,\"temperature\":1}");
        assertThat(tooMany.statusCode()).isEqualTo(429);
        assertThat(tooMany.headers().firstValue("retry-after")).hasValue("1");
        assertThat(tooMany.body()).contains("\"type\":\"RateLimitError\"");
        // A body that never comes holds a place; the next request is refused without its body.
        one.getOutputStream().write(head(1000));
        HttpFixture.await(() -> server.admission.taken() == 3);
        try (Socket refused = server.socket()) {
          refused.getOutputStream().write(head(1000));
          byte[] status = refused.getInputStream().readNBytes(12);
          assertThat(new String(status, StandardCharsets.US_ASCII)).isEqualTo("HTTP/1.1 429");
        }
        server.engine.say(submit, "done");
        HttpFixture.await(() -> server.admission.taken() == 1);
        assertThat(two.getInputStream().read()).isEqualTo('H');
      }
      HttpFixture.await(() -> server.admission.taken() == 0);
      assertThat(server.metrics.text()).contains("code=\"overloaded\"} 2.0");
    }
  }

  private static byte[] head(int length) {
    return ("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            + "Content-Length: "
            + length
            + "\r\n\r\n")
        .getBytes(StandardCharsets.US_ASCII);
  }

  @Test
  void request_refusedBeforeItStarted_onlyCountedAsRefused() throws Exception {
    try (HttpFixture server = HttpFixture.start()) {
      server.engine.behave(
          submit ->
              server.engine.send(
                  Delta.refused(submit.keys()[0], ErrorCode.INVALID_ARGUMENT, "no", "prompt")));
      assertThat(server.post("/v1/completions", WHOLE).statusCode()).isEqualTo(400);
      assertThat(server.metrics.text())
          .contains("code=\"invalid_argument\"} 1.0", "finished_reason=\"error\"} 0.0")
          .containsPattern("vllm:e2e_request_latency_seconds_count\\S+ 0\\.0")
          .containsPattern("vllm:request_prompt_tokens_count\\S+ 0\\.0");
    }
  }

  @Test
  void deadline_passed_statusOrErrorEvent() throws Exception {
    try (HttpFixture server =
        HttpFixture.start(options -> options.request = Duration.ofMillis(400))) {
      server.engine.hold();
      HttpResponse<String> whole = server.post("/v1/completions", WHOLE);
      assertThat(whole.statusCode()).isEqualTo(504);
      assertThat(whole.body()).contains("\"type\":\"TimeoutError\"");
      assertThat(server.engine.awaitCancel().keys())
          .containsExactly(server.engine.awaitSubmit().keys());
      server.engine.behave(
          submit -> server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "a", null)));
      String stream = server.post("/v1/completions", STREAM).body();
      assertThat(stream).contains("\"text\":\"a\"", "\"code\":504").endsWith("data: [DONE]\n\n");
      HttpFixture.await(() -> server.admission.taken() == 0);
    }
  }

  /**
   * Thousands of requests that end at random points of their lives: the places come out even and
   * whatever was submitted ended or was cancelled.
   */
  @Test
  void aborts_thousandsAtRandom_admissionExact() throws Exception {
    long seed = Long.getLong("seed", System.nanoTime());
    Random random = new Random(seed);
    try (HttpFixture server = HttpFixture.start(options -> options.instances = 2)) {
      server.engine.behave(
          submit -> {
            // Some are answered at once, some half, some never.
            switch ((int) (submit.keys()[0] % 3)) {
              case 0 -> server.engine.say(submit, "a", "b");
              case 1 ->
                  server.engine.send(FakeEngine.delta(submit, submit.keys()[0], 0, "a", null));
              default -> {}
            }
          });
      Deque<Socket> open = new ArrayDeque<>();
      for (int i = 0; i < 4000; i++) {
        open.add(anyRequest(server, random));
        if (open.size() > 100) {
          end(open.remove(), random);
        }
      }
      while (!open.isEmpty()) {
        end(open.remove(), random);
      }
      HttpFixture.await(() -> server.admission.taken() == 0);
      Set<Long> submitted = new HashSet<>();
      server.engine.submitted.forEach(s -> submitted.addAll(keys(s.keys())));
      HttpFixture.await(
          () -> {
            Set<Long> loose = new HashSet<>(submitted);
            loose.removeIf(key -> key % 3 == 0);
            new ArrayList<>(server.engine.cancelled).forEach(c -> loose.removeAll(keys(c.keys())));
            return loose.isEmpty();
          });
    } catch (AssertionError failed) {
      throw new AssertionError("-Dseed=" + seed, failed);
    }
  }

  private static List<Long> keys(long[] keys) {
    List<Long> list = new ArrayList<>();
    for (long key : keys) {
      list.add(key);
    }
    return list;
  }

  private static Socket anyRequest(HttpFixture server, Random random) throws Exception {
    String body = random.nextBoolean() ? STREAM : WHOLE;
    if (random.nextInt(10) == 0) {
      Socket socket = server.socket();
      byte[] head = head(body.length());
      socket.getOutputStream().write(head, 0, random.nextInt(head.length));
      return socket;
    }
    return server.rawPost("/v1/completions", random.nextInt(10) == 0 ? "{" : body);
  }

  private static void end(Socket socket, Random random) throws Exception {
    if (random.nextInt(4) == 0) {
      int available = socket.getInputStream().available();
      assertThat(socket.getInputStream().readNBytes(available)).hasSize(available);
    }
    if (random.nextBoolean()) {
      socket.setSoLinger(true, 0);
    }
    socket.close();
  }
}
