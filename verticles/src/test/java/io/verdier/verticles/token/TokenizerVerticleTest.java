package io.verdier.verticles.token;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.FinishReason;
import io.verdier.engine.text.ChatTemplate;
import io.verdier.engine.text.TextParams;
import io.verdier.engine.text.Tokenizer;
import io.verdier.engine.text.template.RenderLimits;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.Submit;
import io.verdier.verticles.bus.Tokenized;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerVerticleTest {
  private static final int REQUESTS = 50;

  @TempDir static Path natives;

  /** A cancellation that waits in the same queue gets to the scheduler behind its request. */
  @Test
  void cancel_behindItsSubmit_staysBehindItsRequest() throws Exception {
    Tokenizer tokenizer =
        Tokenizer.load(Path.of("../engine/src/main/resources/demo-model"), natives);
    ChatRenderer renderer =
        new ChatRenderer(
            ChatTemplate.of("{{ messages }}", Map.of()),
            new RenderLimits(1000, 1000),
            Clock.systemUTC());
    Vertx vertx = Vertx.vertx();
    try {
      Bus bus = Bus.register(vertx);
      BlockingQueue<Object> scheduler = new LinkedBlockingQueue<>();
      join(bus.consumeAny(Addresses.SCHEDULER, message -> scheduler.add(message.body())));
      TokenizerVerticle verticle =
          new TokenizerVerticle(1, new PromptEncoder(tokenizer, renderer, 2048, Integer.MAX_VALUE));
      DeploymentOptions worker =
          new DeploymentOptions().setThreadingModel(ThreadingModel.WORKER).setWorkerPoolSize(1);
      join(vertx.deployVerticle(verticle, worker));
      for (int key = 0; key < REQUESTS; key++) {
        bus.send(Addresses.tokenizer(1), submit(key));
        bus.send(Addresses.tokenizer(1), new Cancel(new long[] {key}, FinishReason.ABORT, false));
      }
      for (int key = 0; key < REQUESTS; key++) {
        if (!(scheduler.poll(5, TimeUnit.SECONDS) instanceof Tokenized request)
            || !(scheduler.poll(5, TimeUnit.SECONDS) instanceof Cancel cancel)) {
          throw new AssertionError("not a request and its cancellation, at " + key);
        }
        assertThat(request.requests().getFirst().key()).isEqualTo(key);
        assertThat(cancel.keys()).containsExactly(key);
      }
    } finally {
      join(vertx.close());
    }
  }

  private static Submit submit(long key) {
    return new Submit(
        new long[] {key},
        new Prompt.Text("Hello there", true),
        SamplingParams.greedy(8),
        List.of(),
        -1,
        new TextParams(List.of(), false, true, true),
        0,
        "");
  }

  private static void join(Future<?> future) {
    assertThat(future.toCompletionStage().toCompletableFuture())
        .succeedsWithin(10, TimeUnit.SECONDS);
  }
}
