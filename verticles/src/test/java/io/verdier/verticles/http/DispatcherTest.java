package io.verdier.verticles.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Delta;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServer;
import io.vertx.core.json.JsonObject;
import io.vertx.ext.web.client.HttpResponse;
import io.vertx.ext.web.client.WebClient;
import io.vertx.junit5.VertxExtension;
import io.vertx.junit5.VertxTestContext;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rows that the server's own table does not have. */
@ExtendWith(VertxExtension.class)
class DispatcherTest {
  private static final Sequence.Submitted BASE =
      new Sequence.Submitted("", false, Generation.MAX_TOKENS);

  @Test
  void action_throws_jsonWithoutDetails(Vertx vertx, VertxTestContext test) {
    Route row =
        new Route(
            "GET",
            "/boom",
            Route.Gate.OPEN,
            (exchange, body) -> {
              throw new IllegalStateException("a secret");
            });
    ask(vertx, row)
        .onComplete(
            test.succeeding(
                answer ->
                    test.verify(
                        () -> {
                          assertIsInternalError(answer);
                          test.completeNow();
                        })));
  }

  /** Bodies of both kinds: decoded on the event loop, and elsewhere. */
  @ParameterizedTest
  @ValueSource(ints = {10, 100_000})
  void action_failsWithAnError_isAnswered(int chars, Vertx vertx, VertxTestContext test) {
    Route row =
        new Route(
            "POST",
            "/boom",
            Route.Gate.ADMIN,
            (exchange, body) -> {
              throw new NoClassDefFoundError("a secret");
            });
    JsonObject body = new JsonObject().put("a", "x".repeat(chars));
    serve(vertx, row)
        .compose(
            bound ->
                WebClient.create(vertx)
                    .post(bound.actualPort(), "127.0.0.1", row.path())
                    .timeout(10_000)
                    .sendJsonObject(body))
        .onComplete(
            test.succeeding(
                answer ->
                    test.verify(
                        () -> {
                          assertIsInternalError(answer);
                          test.completeNow();
                        })));
  }

  @Test
  void webHandler_failsWithStatus_jsonError(Vertx vertx, VertxTestContext test) {
    Route row =
        new Route(
            "GET",
            "/boom",
            Route.Gate.OPEN,
            (exchange, body) -> exchange.leaveTo(routing -> routing.fail(403)));
    ask(vertx, row)
        .onComplete(
            test.succeeding(
                answer ->
                    test.verify(
                        () -> {
                          assertIsInternalError(answer);
                          test.completeNow();
                        })));
  }

  @Test
  void stream_flushThrows_othersOfTheLoopGoOn(Vertx vertx, VertxTestContext test) {
    AtomicBoolean second = new AtomicBoolean();
    Route row =
        new Route(
            "GET",
            "/stream",
            Route.Gate.OPEN,
            (exchange, body) -> {
              SseStream stream = new SseStream(exchange, new Bare());
              Flight nobody = new Flight(exchange, stream);
              stream.onDelta(new Sequence(1, nobody, 0, 0, BASE), 0, FakeEngine.text(1, "a"));
              if (second.getAndSet(true)) {
                exchange
                    .ingress()
                    .vertx()
                    .setTimer(50, ignored -> exchange.endStream(Buffer.buffer(" ")));
              } else {
                // What nobody but the exchange may do: the write that is due must fail.
                exchange.request().response().end();
              }
            });
    Future<HttpServer> server = serve(vertx, row);
    server
        .compose(
            bound ->
                get(vertx, bound, row)
                    .transform(broken -> get(vertx, bound, row))
                    .compose(whole -> get(vertx, bound, row)))
        .onComplete(
            test.succeeding(
                answer ->
                    test.verify(
                        () -> {
                          assertThat(answer.bodyAsString()).isEqualTo("a ");
                          test.completeNow();
                        })));
  }

  @Test
  void answer_throwsTwice_newsOfOthersArrive(Vertx vertx, VertxTestContext test) {
    List<Long> heard = new CopyOnWriteArrayList<>();
    Route row =
        new Route(
            "GET",
            "/boom",
            Route.Gate.OPEN,
            (exchange, body) -> {
              Flight broken = new Flight(exchange, new Recording(heard, true));
              exchange.attach(broken);
              Flight other = new Flight(exchange, new Recording(heard, false));
              Sequences sequences = exchange.ingress().sequences();
              sequences.add(new Sequence(1, broken, 0, 0, BASE));
              sequences.add(new Sequence(2, other, 0, 0, BASE));
              sequences.onDeltas(
                  new Deltas(List.of(FakeEngine.text(1, "a"), FakeEngine.text(2, "b"))));
            });
    serve(vertx, row)
        .compose(bound -> get(vertx, bound, row))
        .onComplete(
            test.failing(
                cut ->
                    test.verify(
                        () -> {
                          assertThat(heard).containsExactly(2L);
                          test.completeNow();
                        })));
  }

  /** Notes whose news it hears, or throws at everything. */
  private record Recording(List<Long> heard, boolean broken) implements Answer {
    @Override
    public void onDelta(Sequence sequence, int choice, Delta delta) {
      check();
      heard.add(delta.key());
    }

    @Override
    public void onEnd(Usage usage) {
      check();
    }

    @Override
    public void onFailure(Problem problem) {
      check();
    }

    private void check() {
      if (broken) {
        throw new IllegalStateException("broken");
      }
    }
  }

  /** The text and nothing else. */
  private static final class Bare implements StreamFormat {
    @Override
    public String contentType() {
      return "text/plain";
    }

    @Override
    public void open(JsonWriter out, Delta first) {}

    @Override
    public void delta(JsonWriter out, Sequence sequence, int choice, Delta delta) {
      out.raw(delta.text().getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void close(JsonWriter out, Usage usage) {}

    @Override
    public void fail(JsonWriter out, Problem problem, Problem.Dialect dialect) {}
  }

  private static void assertIsInternalError(HttpResponse<Buffer> answer) {
    assertThat(answer.statusCode()).isEqualTo(500);
    assertThat(answer.getHeader("Content-Type")).isEqualTo("application/json");
    assertThat(answer.bodyAsString())
        .startsWith("{\"error\":{\"message\":")
        .doesNotContain("secret", "Exception", "403");
  }

  private static Future<HttpResponse<Buffer>> ask(Vertx vertx, Route row) {
    return serve(vertx, row).compose(bound -> get(vertx, bound, row));
  }

  private static Future<HttpResponse<Buffer>> get(Vertx vertx, HttpServer server, Route row) {
    return WebClient.create(vertx).get(server.actualPort(), "127.0.0.1", row.path()).send();
  }

  private static Future<HttpServer> serve(Vertx vertx, Route row) {
    Bus.register(vertx);
    Context loop = vertx.getOrCreateContext();
    HttpVerticle.Setup setup =
        new HttpVerticle.Setup(
            HttpFixture.config(new HttpFixture.Options(), 0),
            new Admission(8, new BodyBudget(1 << 20)),
            new ServingMetrics("demo", 2048),
            "1.2.3",
            EnginePool.of(EngineAddresses.own(1, 1)));
    Ingress ingress = new Ingress(setup, 0, vertx, loop);
    ConnectionClock clock = new ConnectionClock(vertx, ingress.limits());
    Dispatcher dispatcher = new Dispatcher(ingress, clock, List.of(row));
    HttpServer server =
        vertx
            .createHttpServer()
            .connectionHandler(clock::onConnected)
            .requestHandler(dispatcher::onRequest);
    return server.listen(0, "127.0.0.1");
  }
}
