package io.verdier.verticles.bench;

import io.vertx.core.Vertx;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A server on the loopback with the shape of ours and no model: one token a word, and answers of
 * {@code max_tokens} words, one every {@code stepMillis}.
 */
final class LoopbackServer implements AutoCloseable {
  final List<JsonObject> asked = Collections.synchronizedList(new ArrayList<>());
  final List<String> keys = Collections.synchronizedList(new ArrayList<>());

  /** Prompts with this word are refused. */
  volatile String refusedWord = "\n";

  volatile boolean tokenizes = true;
  volatile boolean breaksStreams;

  private final Vertx vertx = Vertx.vertx();
  private final HttpServer server;
  private final long stepMillis;

  LoopbackServer(long stepMillis) {
    this.stepMillis = stepMillis;
    this.server =
        vertx.createHttpServer().requestHandler(this::onRequest).listen(0, "127.0.0.1").await();
  }

  String url() {
    return "http://127.0.0.1:" + server.actualPort();
  }

  @Override
  public void close() {
    vertx.close().await();
  }

  private void onRequest(HttpServerRequest request) {
    keys.add(String.valueOf(request.getHeader("authorization")));
    if (request.path().equals("/v1/models")) {
      JsonArray models = new JsonArray().add(new JsonObject().put("id", "loop"));
      request.response().end(new JsonObject().put("data", models).encode());
      return;
    }
    request.body().onSuccess(body -> onBody(request, body.toJsonObject()));
  }

  private void onBody(HttpServerRequest request, JsonObject body) {
    JsonArray messages = body.getJsonArray("messages");
    String text =
        messages == null
            ? body.getString("prompt")
            : "<user> " + messages.getJsonObject(0).getString("content");
    int tokens = text.split(" ").length;
    if (request.path().equals("/tokenize")) {
      request.response().setStatusCode(tokenizes ? 200 : 404);
      request.response().end(new JsonObject().put("count", tokens).encode());
      return;
    }
    asked.add(body);
    if (text.contains(refusedWord)) {
      JsonObject error = new JsonObject().put("message", "no such word");
      request.response().setStatusCode(400).end(new JsonObject().put("error", error).encode());
      return;
    }
    HttpServerResponse response = request.response().setChunked(true);
    response.putHeader("content-type", "text/event-stream");
    boolean chat = messages != null;
    if (chat) {
      response.write(piece(new JsonObject().put("delta", new JsonObject().put("content", ""))));
    }
    next(response, chat, tokens, body.getInteger("max_tokens"), 0);
  }

  private void next(HttpServerResponse response, boolean chat, int input, int output, int sent) {
    if (sent == output) {
      JsonObject usage =
          new JsonObject().put("prompt_tokens", input).put("completion_tokens", output);
      String last = new JsonObject().put("choices", new JsonArray()).put("usage", usage).encode();
      response.end("data: " + last + "\n\ndata: [DONE]\n\n");
      return;
    }
    if (breaksStreams && sent == 2) {
      response.reset();
      return;
    }
    String word = "w" + sent + " ";
    response.write(
        piece(
            chat
                ? new JsonObject().put("delta", new JsonObject().put("content", word))
                : new JsonObject().put("text", word)));
    vertx.setTimer(stepMillis, timer -> next(response, chat, input, output, sent + 1));
  }

  private static String piece(JsonObject choice) {
    return "data: " + new JsonObject().put("choices", new JsonArray().add(choice)) + "\n\n";
  }
}
