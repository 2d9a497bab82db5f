package io.verdier.verticles.launch;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.run.StepRunner;
import io.verdier.verticles.token.ChatRenderer;
import io.verdier.verticles.token.PromptEncoder;
import io.vertx.core.Future;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.UnaryOperator;
import java.util.stream.DoubleStream;

/**
 * A whole server inside the test's JVM, on a free port of the loopback interface. Owned by the
 * test's thread.
 */
public final class InProcessServer implements AutoCloseable {
  private final Server server;

  private InProcessServer(Server server) {
    this.server = server;
  }

  /** Configuration as the command line would give it. */
  public static ServerConfig config(String... flags) {
    return models(flags).getFirst();
  }

  /** The words that start Python's server may come first. */
  private static List<ServerConfig> models(String... flags) {
    List<String> argv = new ArrayList<>(Arrays.asList(flags));
    argv.addAll(List.of("--host=127.0.0.1", "--port=0"));
    return switch (ConfigLoader.load(argv, Map.of())) {
      case LoadResult.Loaded loaded -> loaded.models();
      case LoadResult.Invalid invalid -> throw new IllegalArgumentException(invalid.text());
      case LoadResult.HelpAsked help -> throw new IllegalArgumentException(help.text());
    };
  }

  /** Starts and loads the demo model, unless the flags say otherwise. */
  public static InProcessServer start(String... flags) {
    Server server = await(Server.listen(models(flags)));
    await(server.load());
    return new InProcessServer(server);
  }

  /** The same, without waiting until it serves. */
  public static InProcessServer begin(String... flags) {
    Server server = await(Server.listen(models(flags)));
    server.load();
    return new InProcessServer(server);
  }

  /** The same with a step runner of the test's own around the real one. */
  public static InProcessServer start(UnaryOperator<StepRunner> around, String... flags) {
    Server server = await(Server.listen(models(flags)));
    await(server.load(parts -> parts.withRunners(around)));
    return new InProcessServer(server);
  }

  /** The same with a clock of the test's own for the chat templates. */
  public static InProcessServer start(Clock clock, String... flags) {
    Server server = await(Server.listen(models(flags)));
    await(
        server.load(
            parts -> {
              PromptEncoder encoder = parts.encoder();
              ChatRenderer renderer = encoder.renderer();
              return parts.withEncoder(
                  new PromptEncoder(
                      encoder.tokenizer(),
                      new ChatRenderer(
                          renderer.template(), renderer.variables(), renderer.limits(), clock),
                      encoder.maxModelLen(),
                      encoder.newTokensMax(),
                      encoder.width()));
            }));
    return new InProcessServer(server);
  }

  /**
   * Waits until no sequence is live and no block in use: places come back when the last byte of an
   * answer has left, blocks with the last step that was planned for it.
   */
  public void awaitIdle() {
    long deadline = System.nanoTime() + 20_000_000_000L;
    while (!isIdle()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError(
            "%d sequences are still live, %.3f of the cache in use"
                .formatted(server.liveSequences(), metric("vllm:kv_cache_usage_perc")));
      }
      LockSupport.parkNanos(1_000_000);
    }
  }

  private boolean isIdle() {
    return server.liveSequences() == 0
        && sum("vllm:num_requests_running") == 0
        && sum("vllm:num_requests_waiting") == 0
        && sum("vllm:kv_cache_usage_perc") == 0;
  }

  public Server server() {
    return server;
  }

  public String baseUrl() {
    return server.localUrl();
  }

  /** The sum of all series of that name: over the engines, if it has no other labels. */
  public double sum(String name) {
    return series(name).sum();
  }

  private DoubleStream series(String name) {
    return server
        .metricsText()
        .lines()
        .filter(line -> line.startsWith(name + "{") || line.startsWith(name + " "))
        .mapToDouble(line -> Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1)));
  }

  /** The value of one series of {@code /metrics}. */
  public double metric(String series) {
    return series(series)
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no series " + series));
  }

  static <T> T await(Future<T> future) {
    try {
      return future.toCompletionStage().toCompletableFuture().get(60, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException failed) {
      throw new IllegalStateException(failed);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(interrupted);
    }
  }

  @Override
  public void close() {
    await(server.drain());
    await(server.close());
  }
}
