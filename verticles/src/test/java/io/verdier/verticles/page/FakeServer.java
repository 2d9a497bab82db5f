package io.verdier.verticles.page;

import static java.util.Objects.requireNonNull;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Collections;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Serves the chat page from the class path and answers its requests by rote: the question decides
 * what goes wrong. Thread-safe: handlers run on an event loop, tests read what came in.
 */
final class FakeServer {
  /** What the real server sends with the page; the page must work under it. */
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
          + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  private static final long TOKEN_MILLIS = 6;

  private final Vertx vertx;
  private final HttpServer server;
  private final Queue<JsonObject> requests = new ConcurrentLinkedQueue<>();
  private final Semaphore disconnects = new Semaphore(0);
  private final AtomicInteger loadingAnswers = new AtomicInteger();
  private final FakeCluster cluster = new FakeCluster();
  private volatile String key = "";

  FakeServer(Vertx vertx) throws Exception {
    this.vertx = vertx;
    this.server =
        vertx
            .createHttpServer()
            .requestHandler(this::onRequest)
            .listen(0, "127.0.0.1")
            .toCompletionStage()
            .toCompletableFuture()
            .get(10, TimeUnit.SECONDS);
  }

  /** Under a prefix, as behind {@code --root-path}: the page must not assume that it is at home. */
  String url() {
    return "http://127.0.0.1:" + server.actualPort() + "/some/prefix/";
  }

  /** The nodes that it tells of. */
  FakeCluster cluster() {
    return cluster;
  }

  /** Bodies of the chat requests so far. */
  List<JsonObject> requests() {
    return List.copyOf(requests);
  }

  JsonObject lastRequest() {
    return requests().getLast();
  }

  /** One permit for each stream that the browser left before its end. */
  Semaphore disconnects() {
    return disconnects;
  }

  /** The next {@code answers} health checks, model lists and chats say "loading". */
  void loadFor(int answers) {
    loadingAnswers.set(answers);
  }

  /** Empty: no key is asked for. */
  void requireKey(String value) {
    key = value;
  }

  void close() throws Exception {
    server.close().toCompletionStage().toCompletableFuture().get(10, TimeUnit.SECONDS);
  }

  private void onRequest(HttpServerRequest request) {
    String path = request.path().replaceFirst("^/some/prefix/", "");
    boolean api = path.startsWith("v1/");
    if ((api || path.equals("health"))
        && loadingAnswers.getAndUpdate(n -> Math.max(0, n - 1)) > 0) {
      fail(request, 503, "The model is loading.");
    } else if (api
        && !key.isEmpty()
        && !("Bearer " + key).equals(request.getHeader("Authorization"))) {
      request.response().setStatusCode(401).end("{\"error\":\"Unauthorized\"}");
    } else {
      switch (path) {
        case "health" -> request.response().end();
        case "v1/models" -> json(request, 200, models());
        case "v1/chat/completions" -> request.body().onSuccess(body -> chat(request, body));
        case "cluster" -> json(request, 200, cluster.status());
        default -> {
          if (path.startsWith("cluster/nodes/")) {
            cluster.onWish(request, path);
          } else {
            file(request, path.isEmpty() ? "index.html" : path);
          }
        }
      }
    }
  }

  private void chat(HttpServerRequest request, Buffer body) {
    JsonObject asked = body.toJsonObject();
    requests.add(asked);
    JsonArray messages = asked.getJsonArray("messages");
    String question = messages.getJsonObject(messages.size() - 1).getString("content");
    switch (question) {
      case "busy" -> {
        request.response().putHeader("Retry-After", "7");
        fail(request, 503, "Queue is full.");
      }
      case "refuse" -> fail(request, 400, "prompt has 9120 tokens; this model accepts 8192.");
      case "break" -> {
        HttpServerResponse response = sse(request);
        response.write(delta("Half an ans"));
        vertx.setTimer(30, fired -> response.end());
      }
      case "error event" -> {
        HttpServerResponse response = sse(request);
        response.write(delta("Partly"));
        JsonObject error = new JsonObject().put("message", "the step failed");
        response.write(event(new JsonObject().put("error", error)));
        response.end("data: [DONE]\n\n");
      }
      case "pieces" -> inPieces(request);
      case "endless" -> stream(request, endless(), asked);
      case "markup" ->
          stream(
              request,
              words(
                  "<img src=x onerror=\"window.pwned=1\"> **<b>bold</b>** "
                      + "`<script>window.pwned=2</script>` [link](javascript:window.pwned=3)"),
              asked);
      default -> stream(request, words(answer(question)), asked);
    }
  }

  /** One event per token, as the real server does it. */
  private void stream(HttpServerRequest request, List<String> tokens, JsonObject asked) {
    HttpServerResponse response = sse(request);
    AtomicInteger next = new AtomicInteger();
    long timer =
        vertx.setPeriodic(
            TOKEN_MILLIS,
            id -> {
              int at = next.getAndIncrement();
              if (at < tokens.size()) {
                response.write(delta(tokens.get(at)));
                return;
              }
              vertx.cancelTimer(id);
              boolean cut = asked.containsKey("max_tokens");
              response.write(finish(cut ? "length" : "stop"));
              response.write(usage(tokens.size()));
              response.end("data: [DONE]\n\n");
            });
    response.exceptionHandler(gone -> {});
    response.closeHandler(
        closed -> {
          if (!response.ended()) {
            vertx.cancelTimer(timer);
            disconnects.release();
          }
        });
  }

  /** CR LF line ends, comments, and pieces that end inside lines and inside characters. */
  private void inPieces(HttpServerRequest request) {
    String text =
        ": hello\n\n"
            + delta("Gr")
            + delta("ün")
            + delta("fink 🐦")
            + finish("stop")
            + "data: [DONE]\n\n";
    Buffer bytes = Buffer.buffer(text.replace("\n", "\r\n"));
    HttpServerResponse response = sse(request);
    AtomicInteger at = new AtomicInteger();
    vertx.setPeriodic(
        1,
        id -> {
          int from = at.getAndAdd(7);
          if (from < bytes.length()) {
            response.write(bytes.getBuffer(from, Math.min(bytes.length(), from + 7)));
          } else {
            vertx.cancelTimer(id);
            response.end();
          }
        });
  }

  private static String answer(String question) {
    return switch (question) {
      case "What is paged attention?" ->
          "Paged attention stores the key and value cache in small fixed blocks, like pages of "
              + "memory, so that many requests can share the cache without waste.";
      case "List five fruits." -> "1. apple\n2. banana\n3. orange\n4. pear\n5. grape";
      case "Show Markdown." ->
          """
          ## Heading
          A **bold** word and `inline code`, 7 * 8 * 9 stays.

          - first
          - second
            - nested

          ```java
          int answer = 42; // **not bold**, and a line that is much too long for the screen of any phone
          ```
          1. one
          2. two""";
      default -> "You said: " + question;
    };
  }

  /** Splits before each blank, so that joining gives the text again. */
  private static List<String> words(String text) {
    return List.of(text.split("(?=[ \n])"));
  }

  private static List<String> endless() {
    return Collections.nCopies(100_000, "again ");
  }

  private static HttpServerResponse sse(HttpServerRequest request) {
    HttpServerResponse response = request.response().setChunked(true);
    response.putHeader("Content-Type", "text/event-stream; charset=utf-8");
    JsonObject role = new JsonObject().put("role", "assistant").put("content", "");
    response.write(event(choice(new JsonObject().put("delta", role))));
    return response;
  }

  private static String delta(String text) {
    return event(choice(new JsonObject().put("delta", new JsonObject().put("content", text))));
  }

  private static String finish(String reason) {
    JsonObject choice = new JsonObject().put("delta", new JsonObject());
    return event(choice(choice.put("finish_reason", reason)));
  }

  private static String usage(int tokens) {
    JsonObject usage = new JsonObject().put("prompt_tokens", 23).put("completion_tokens", tokens);
    usage.put("total_tokens", 23 + tokens);
    usage.put("prompt_tokens_details", new JsonObject().put("cached_tokens", 16));
    return event(new JsonObject().put("choices", new JsonArray()).put("usage", usage));
  }

  private static JsonObject choice(JsonObject choice) {
    return new JsonObject().put("choices", new JsonArray().add(choice.put("index", 0)));
  }

  private static String event(JsonObject data) {
    return "data: " + data.encode() + "\n\n";
  }

  private static JsonObject models() {
    JsonObject base = new JsonObject().put("id", "verdier-demo").put("max_model_len", 2048);
    JsonObject pirate = new JsonObject().put("id", "pirate").put("parent", "verdier-demo");
    JsonObject french = new JsonObject().put("id", "french").put("parent", "verdier-demo");
    return new JsonObject().put("data", new JsonArray().add(base).add(pirate).add(french));
  }

  private static void fail(HttpServerRequest request, int status, String text) {
    JsonObject error = new JsonObject().put("message", text).put("code", status);
    json(request, status, new JsonObject().put("error", error));
  }

  private static void json(HttpServerRequest request, int status, JsonObject body) {
    request.response().setStatusCode(status).end(body.encode());
  }

  private static void file(HttpServerRequest request, String name) {
    String type =
        switch (name.substring(name.lastIndexOf('.') + 1)) {
          case "html" -> "text/html; charset=utf-8";
          case "js" -> "text/javascript; charset=utf-8";
          case "css" -> "text/css; charset=utf-8";
          case "svg" -> "image/svg+xml";
          default -> "";
        };
    try (InputStream in =
        FakeServer.class.getResourceAsStream("/io/verdier/verticles/webroot/" + name)) {
      if (type.isEmpty() || in == null) {
        request.response().setStatusCode(404).end();
        return;
      }
      HttpServerResponse response = request.response().putHeader("Content-Type", type);
      response.putHeader("Content-Security-Policy", POLICY);
      response.putHeader("X-Content-Type-Options", "nosniff");
      response.end(Buffer.buffer(requireNonNull(in).readAllBytes()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
