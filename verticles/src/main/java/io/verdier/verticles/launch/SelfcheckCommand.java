package io.verdier.verticles.launch;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.RequestOptions;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * {@code verdier selfcheck}: starts a server with the demo model on a free port of the loopback
 * interface, asks what clients ask, and stops. Shows that an installation works, and is what the
 * ahead-of-time cache is trained with.
 */
final class SelfcheckCommand {
  private static final int TIMEOUT_SECONDS = 60;
  private static final String CHAT =
      """
      {"messages": [{"role": "user", "content": "What is a car?"}], "max_tokens": 32, "stream": %s}""";

  private SelfcheckCommand() {}

  static int run(Map<String, String> environment) {
    List<String> argv = List.of("--host=127.0.0.1", "--port=0");
    return switch (ConfigLoader.load(argv, environment)) {
      case LoadResult.Invalid invalid -> Command.misused("selfcheck", invalid);
      case LoadResult.HelpAsked help -> Command.print(help.text());
      case LoadResult.Loaded loaded -> check(loaded);
    };
  }

  private static int check(LoadResult.Loaded loaded) {
    Vertx client = Vertx.vertx();
    try {
      Server server = await(Server.listen(loaded.models()));
      await(server.load());
      HttpClient http = client.createHttpClient();
      for (String path : List.of("/health", "/v1/models", "/", "/metrics")) {
        expect(await(ask(http, HttpMethod.GET, server.localUrl() + path, "")), "", path);
      }
      String chat = server.localUrl() + "/v1/chat/completions";
      String whole = await(ask(http, HttpMethod.POST, chat, CHAT.formatted(false)));
      expect(whole, "\"finish_reason\"", "the whole answer");
      String streamed = await(ask(http, HttpMethod.POST, chat, CHAT.formatted(true)));
      expect(streamed, "data: [DONE]", "the streamed answer");
      await(server.drain());
      await(server.close());
      System.out.println("selfcheck: all is well");
      return 0;
    } catch (ExecutionException | TimeoutException | IllegalStateException failed) {
      System.err.println("selfcheck failed: " + failed.getMessage());
      return Command.FAILED;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Command.FAILED;
    } finally {
      client.close();
    }
  }

  private static void expect(String body, String part, String what) {
    if (!body.contains(part)) {
      throw new IllegalStateException(what + " lacks " + part);
    }
  }

  /** The body; fails where the status is not 200. */
  private static Future<String> ask(HttpClient http, HttpMethod method, String url, String body) {
    RequestOptions options =
        new RequestOptions()
            .setMethod(method)
            .setAbsoluteURI(url)
            .putHeader("content-type", "application/json");
    return http.request(options)
        .compose(request -> request.send(Buffer.buffer(body)))
        .compose(response -> body(response, url));
  }

  private static Future<String> body(HttpClientResponse response, String url) {
    return response.statusCode() == 200
        ? response.body().map(Buffer::toString)
        : Future.failedFuture(url + " answered " + response.statusCode());
  }

  private static <T> T await(Future<T> future)
      throws ExecutionException, InterruptedException, TimeoutException {
    return future.toCompletionStage().toCompletableFuture().get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }
}
