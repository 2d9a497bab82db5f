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
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * {@code verdier selfcheck}: serves the demo model on free ports of the loopback interface, alone
 * and then with two nodes of a cluster, asks what clients ask, and stops. Shows that an
 * installation works, and is what the ahead-of-time cache is trained with.
 */
final class SelfcheckCommand {
  private static final String HOST = "127.0.0.1";
  private static final int TIMEOUT_SECONDS = 60;
  private static final long PAUSE_MILLIS = 20;
  private static final String SECRET = "of this check alone";
  private static final String CHAT =
      """
      {"messages": [{"role": "user", "content": "What is a car?"}], "max_tokens": 32, "stream": %s}""";

  private final Map<String, String> environment;
  private final Vertx client = Vertx.vertx();
  private final HttpClient http = client.createHttpClient();
  private final Deque<Server> servers = new ArrayDeque<>(); // the latest first

  private SelfcheckCommand(Map<String, String> environment) {
    this.environment = environment;
  }

  static int run(Map<String, String> environment) {
    return switch (load(environment)) {
      case LoadResult.Invalid invalid -> Command.misused("selfcheck", invalid);
      case LoadResult.HelpAsked help -> Command.print(help.text());
      case LoadResult.Loaded loaded -> new SelfcheckCommand(environment).check();
    };
  }

  private int check() {
    try {
      checkAlone();
      checkCluster();
      System.out.println("selfcheck: all is well");
      return 0;
    } catch (ExecutionException | IOException | TimeoutException | IllegalStateException failed) {
      System.err.println("selfcheck failed: " + failed.getMessage());
      return Command.FAILED;
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Command.FAILED;
    } finally {
      client.close();
    }
  }

  private static LoadResult load(Map<String, String> environment, String... flags) {
    List<String> argv = new ArrayList<>(List.of("--host=" + HOST, "--port=0"));
    Collections.addAll(argv, flags);
    return ConfigLoader.load(argv, environment);
  }

  private void checkAlone() throws ExecutionException, InterruptedException, TimeoutException {
    Server server = serve();
    for (String path : List.of("/health", "/v1/models", "/", "/metrics")) {
      expect(await(ask(HttpMethod.GET, server.localUrl() + path, "")), "", path);
    }
    checkAnswers(server);
    end();
  }

  /** One node computes, the other takes requests. */
  private void checkCluster()
      throws ExecutionException, InterruptedException, IOException, TimeoutException {
    int first = Server.freePort(HOST);
    node("engine,cache", first, first);
    Server server = node("http", Server.freePort(HOST), first);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_SECONDS);
    while (status(server.localUrl() + "/health") != 200) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException("two nodes on the loopback interface do not meet");
      }
      Thread.sleep(PAUSE_MILLIS);
    }
    checkAnswers(server);
    end();
  }

  private Server node(String roles, int port, int member)
      throws ExecutionException, InterruptedException, TimeoutException {
    return serve(
        "--cluster",
        "--roles=" + roles,
        "--cluster-host=" + HOST,
        "--cluster-port=" + port,
        "--cluster-members=" + HOST + ":" + member,
        "--cluster-secret=" + SECRET);
  }

  private Server serve(String... flags)
      throws ExecutionException, InterruptedException, TimeoutException {
    return switch (load(environment, flags)) {
      case LoadResult.Loaded loaded -> {
        Server server = await(Server.listen(loaded.models()));
        servers.push(server);
        await(server.load());
        yield server;
      }
      case LoadResult.Invalid invalid -> throw new IllegalStateException(invalid.text());
      case LoadResult.HelpAsked help -> throw new IllegalStateException(help.text());
    };
  }

  private void end() throws ExecutionException, InterruptedException, TimeoutException {
    while (!servers.isEmpty()) {
      Server server = servers.pop();
      await(server.drain());
      await(server.close());
    }
  }

  private void checkAnswers(Server server)
      throws ExecutionException, InterruptedException, TimeoutException {
    String chat = server.localUrl() + "/v1/chat/completions";
    String whole = await(ask(HttpMethod.POST, chat, CHAT.formatted(false)));
    expect(whole, "\"finish_reason\"", "the whole answer");
    String streamed = await(ask(HttpMethod.POST, chat, CHAT.formatted(true)));
    expect(streamed, "data: [DONE]", "the streamed answer");
  }

  private static void expect(String body, String part, String what) {
    if (!body.contains(part)) {
      throw new IllegalStateException(what + " lacks " + part);
    }
  }

  private int status(String url) throws ExecutionException, InterruptedException, TimeoutException {
    return await(send(HttpMethod.GET, url, "").map(HttpClientResponse::statusCode));
  }

  /** The body; fails where the status is not 200. */
  private Future<String> ask(HttpMethod method, String url, String body) {
    return send(method, url, body).compose(response -> body(response, url));
  }

  private Future<HttpClientResponse> send(HttpMethod method, String url, String body) {
    RequestOptions options =
        new RequestOptions()
            .setMethod(method)
            .setAbsoluteURI(url)
            .putHeader("content-type", "application/json");
    return http.request(options).compose(request -> request.send(Buffer.buffer(body)));
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
