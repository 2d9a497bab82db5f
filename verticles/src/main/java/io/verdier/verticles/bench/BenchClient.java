package io.verdier.verticles.bench;

import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.PoolOptions;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.PrimitiveIterator;
import java.util.concurrent.ExecutionException;
import java.util.stream.IntStream;

/**
 * Owned by the event loop. Speaks to the server: HTTP/1.1 with keep-alive, one connection for each
 * answer under way.
 */
final class BenchClient {
  private static final int TOKENIZE_LANES = 8;
  private static final int SILENCE_MILLIS_MAX = 600_000;

  private final BenchOptions options;
  private final HttpClient http;
  private byte[] scratch = new byte[64 << 10]; // the piece being scanned

  BenchClient(Vertx vertx, BenchOptions options) {
    this.options = options;
    int wanted = Math.max(options.requests(), options.warmUps());
    this.http =
        vertx.createHttpClient(
            new HttpClientOptions().setTcpNoDelay(true).setConnectTimeout(10_000),
            new PoolOptions()
                .setHttp1MaxSize(Math.max(16, Math.min(wanted, options.maxConcurrency())))
                .setMaxWaitQueueSize(-1));
  }

  /** The model to ask for. */
  Future<String> model() {
    if (options.model().isPresent()) {
      return Future.succeededFuture(options.model().get());
    }
    return exchange(HttpMethod.GET, "/v1/models", Buffer.buffer())
        .map(models -> models.getJsonArray("data").getJsonObject(0).getString("id"));
  }

  /** Learns from the server what words cost. Fails where it does not tokenize. */
  Future<PromptWriter> promptWriter(String model) {
    return tokens(model, PromptWriter.FIRST_WORD)
        .compose(
            overhead -> {
              int[] costs = new int[PromptWriter.WORDS.size()];
              PrimitiveIterator.OfInt places = IntStream.range(0, costs.length).iterator();
              List<Future<Void>> lanes = new ArrayList<>();
              for (int lane = 0; lane < TOKENIZE_LANES; lane++) {
                lanes.add(costs(model, overhead, places, costs));
              }
              return Future.all(lanes).map(done -> new PromptWriter(overhead, costs));
            });
  }

  /** One after another, so that the server's admission limits have nothing to refuse. */
  private Future<Void> costs(
      String model, int overhead, PrimitiveIterator.OfInt places, int[] costs) {
    if (!places.hasNext()) {
      return Future.succeededFuture();
    }
    int place = places.nextInt();
    return tokens(model, PromptWriter.FIRST_WORD + " " + PromptWriter.WORDS.get(place))
        .compose(
            count -> {
              costs[place] = Math.max(1, count - overhead);
              return costs(model, overhead, places, costs);
            });
  }

  /** How many tokens a prompt has, with template and special tokens. */
  Future<Integer> tokens(String model, String text) {
    JsonObject body = withPrompt(new JsonObject().put("model", model), text);
    return exchange(HttpMethod.POST, "/tokenize", body.toBuffer())
        .map(reply -> reply.getInteger("count"));
  }

  /** The request that asks for one answer. */
  Buffer body(String model, Prompt prompt) {
    JsonObject body =
        withPrompt(new JsonObject().put("model", model), prompt.text())
            .put("max_tokens", prompt.outputTokens())
            .put("stream", true)
            .put("stream_options", new JsonObject().put("include_usage", true));
    if (options.ignoreEos()) {
      body.put("ignore_eos", true);
    }
    options.temperature().ifPresent(temperature -> body.put("temperature", temperature));
    return body.toBuffer();
  }

  /** Asks for one answer. Always succeeds, once it has ended; how it ended is in the trace. */
  Future<Void> stream(Buffer body, RequestTrace trace) {
    return http.request(request(HttpMethod.POST, options.endpoint()))
        .compose(request -> request.send(body))
        .compose(
            response -> response.statusCode() == 200 ? read(response, trace) : refuse(response))
        .recover(
            failure -> {
              trace.fail(text(failure));
              return Future.succeededFuture();
            });
  }

  private Future<Void> read(HttpClientResponse response, RequestTrace trace) {
    SseScanner scanner = new SseScanner(trace);
    response.handler(
        piece -> {
          trace.at(System.nanoTime());
          int length = piece.length();
          if (scratch.length < length) {
            scratch = new byte[length];
          }
          piece.getBytes(scratch);
          try {
            scanner.feed(scratch, length);
          } catch (IllegalStateException endlessLine) {
            trace.fail(text(endlessLine));
            response.request().reset();
          }
        });
    return response.end().onSuccess(ended -> trace.onEnd());
  }

  private static <T> Future<T> refuse(HttpClientResponse response) {
    return response
        .body()
        .compose(
            body -> Future.failedFuture(ServerError.text(response.statusCode(), body.toString())));
  }

  private Future<JsonObject> exchange(HttpMethod method, String path, Buffer body) {
    return http.request(request(method, path))
        .compose(request -> request.send(body))
        .compose(
            response ->
                response.statusCode() == 200
                    ? response.body().map(Buffer::toJsonObject)
                    : refuse(response));
  }

  private RequestOptions request(HttpMethod method, String path) {
    RequestOptions request =
        new RequestOptions()
            .setAbsoluteURI(options.baseUrl() + path)
            .setMethod(method)
            .setIdleTimeout(SILENCE_MILLIS_MAX)
            .putHeader("content-type", "application/json");
    options.apiKey().ifPresent(key -> request.putHeader("authorization", "Bearer " + key));
    return request;
  }

  private JsonObject withPrompt(JsonObject body, String text) {
    return options.chat()
        ? body.put(
            "messages",
            new JsonArray().add(new JsonObject().put("role", "user").put("content", text)))
        : body.put("prompt", text);
  }

  /** Why something failed, without the wrappers of whoever waited for it. */
  static String text(Throwable failure) {
    Throwable cause = failure;
    while (cause instanceof ExecutionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    String message = cause.getMessage();
    return message == null ? cause.getClass().getSimpleName() : message;
  }
}
