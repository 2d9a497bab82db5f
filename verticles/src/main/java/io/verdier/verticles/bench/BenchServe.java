package io.verdier.verticles.bench;

import io.verdier.verticles.bench.BenchOptions.UsageException;
import io.verdier.verticles.bench.LoadRun.Load;
import io.verdier.verticles.bench.LoadRun.Schedule;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;

/**
 * Owned by the thread that runs it. The command {@code bench serve}: learns the model, writes the
 * prompts, tries one request, warms up, measures, reports. Everything that sends or receives runs
 * on one event loop, and this thread waits for it between the steps.
 */
public final class BenchServe implements AutoCloseable {
  private static final long BAR_MILLIS = 200;

  private final BenchOptions options;
  private final PrintStream out;
  private final Vertx vertx;
  private final Context loop;
  private final BenchClient client;

  private BenchServe(BenchOptions options, PrintStream out) {
    this.options = options;
    this.out = out;
    this.vertx =
        Vertx.vertx(new VertxOptions().setEventLoopPoolSize(1).setPreferNativeTransport(true));
    this.loop = vertx.getOrCreateContext();
    this.client = new BenchClient(vertx, options);
  }

  /**
   * Runs the command.
   *
   * @param argv what follows {@code bench serve}
   * @return exit code: 0 when every request succeeded, 1 when one failed or the server cannot be
   *     measured, 2 when the arguments are wrong
   */
  public static int run(List<String> argv, PrintStream out) throws InterruptedException {
    if (argv.contains(BenchFlag.HELP.flag()) || argv.contains("-h")) {
      out.print(BenchFlag.usage());
      return 0;
    }
    try (BenchServe bench = new BenchServe(BenchOptions.parse(argv), out)) {
      return bench.measure() ? 0 : 1;
    } catch (UsageException problems) {
      out.println(problems.getMessage());
      return 2;
    } catch (ExecutionException failure) {
      out.println("The benchmark cannot run: " + BenchClient.text(failure));
      return 1;
    } catch (IOException failure) {
      out.println("The result cannot be written: " + failure.getMessage());
      return 1;
    }
  }

  @Override
  public void close() {
    vertx.close().await();
  }

  private boolean measure() throws InterruptedException, ExecutionException, IOException {
    String model = await(client::model);
    Random random = new Random(options.seed());
    PromptWriter writer = writer(model);
    int count = options.requests();
    List<Prompt> prompts = writer.write(count, options, random);
    long[] due = Arrivals.offsetsNanos(count, options.requestRate(), options.burstiness(), random);
    List<Prompt> trial = writer.write(1, options, random);
    RequestTrace tried = load(model, trial, new long[1], "trying").traces().getFirst();
    if (tried.error() != null) {
      out.println("The server at " + options.baseUrl() + " does not answer: " + tried.error());
      return false;
    }
    if (options.warmUps() > 0) {
      int warmUps = options.warmUps();
      load(model, writer.write(warmUps, options, random), new long[warmUps], "warming");
    }
    BenchResult result = BenchResult.of(load(model, prompts, due, "measuring"));
    Report.print(result, options, out);
    if (options.resultFile().isPresent()) {
      Path file = Path.of(options.resultFile().get());
      Files.writeString(file, Report.json(result, options, model).encodePrettily() + "\n");
    }
    return result.failed() == 0;
  }

  private PromptWriter writer(String model) throws InterruptedException {
    try {
      PromptWriter writer = await(() -> client.promptWriter(model));
      Prompt probe = writer.write(options.inputTokens(), 1, new Random(1));
      int tokens = await(() -> client.tokens(model, probe.text()));
      if (tokens != options.inputTokens()) {
        out.println(
            "note: a prompt meant to have "
                + options.inputTokens()
                + " tokens has "
                + tokens
                + "; the server's count is reported");
      }
      return writer;
    } catch (ExecutionException noTokenizer) {
      out.println("note: /tokenize does not answer; prompts have one word for each input token");
      return PromptWriter.guessing();
    }
  }

  private Load load(String model, List<Prompt> prompts, long[] due, String title)
      throws InterruptedException, ExecutionException {
    LoadRun run =
        new LoadRun(vertx, client, model, prompts, new Schedule(due, options.maxConcurrency()));
    Progress progress = Progress.onTerminal();
    long timer = progress.isShown() ? showing(progress, run, title, prompts.size()) : -1;
    try {
      return await(run::start);
    } finally {
      vertx.cancelTimer(timer);
      progress.end();
    }
  }

  private long showing(Progress progress, LoadRun run, String title, int total) {
    long start = System.nanoTime();
    return vertx.setPeriodic(
        BAR_MILLIS,
        timer ->
            progress.show(
                title, run.finished(), total, run.pieces() * 1e9 / (System.nanoTime() - start)));
  }

  /** Starts something on the event loop and waits for its end. */
  private <T> T await(Start<T> start) throws InterruptedException, ExecutionException {
    Promise<T> promise = Promise.promise();
    loop.runOnContext(on -> start.start().onComplete(promise));
    return promise.future().toCompletionStage().toCompletableFuture().get();
  }

  private interface Start<T> {
    Future<T> start();
  }
}
