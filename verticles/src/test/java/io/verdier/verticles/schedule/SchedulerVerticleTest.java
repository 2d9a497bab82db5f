package io.verdier.verticles.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.SchedulerSettings;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.StepDone;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.util.AbstractList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SchedulerVerticleTest {
  private final Vertx vertx = Vertx.vertx();
  private final Bus bus = Bus.register(vertx);
  private final CompletableFuture<ServerState> state = new CompletableFuture<>();

  @BeforeEach
  void deploy() throws Exception {
    SchedulerSettings settings =
        new SchedulerSettings(64, 8, 0, Policy.FCFS, 64, new int[] {5}, true);
    Scheduler scheduler = new Scheduler(settings, new KvCacheManager(16, 16));
    await(bus.consume(Addresses.STATE, ServerState.class, state::complete));
    await(
        vertx.deployVerticle(
            new SchedulerVerticle(
                0,
                scheduler,
                List.of(Addresses.detokenizer(0)),
                new ServingMetrics("demo", 64).engine(0),
                null)));
  }

  @AfterEach
  void close() throws Exception {
    await(vertx.close());
  }

  private static <T> T await(Future<T> future)
      throws InterruptedException, ExecutionException, TimeoutException {
    return future.toCompletionStage().toCompletableFuture().get(10, TimeUnit.SECONDS);
  }

  @Test
  void outcome_fitsNoPlan_engineHasFailed() throws Exception {
    StepOutcome alien =
        new StepOutcome(
            9, new long[] {8}, new int[] {1}, new TokenLogprobs[1], List.of(), List.of());
    bus.send(Addresses.stepDone(0), new StepDone(alien, 0));
    assertThat(state.get(10, TimeUnit.SECONDS)).isInstanceOf(ServerState.Failed.class);
  }

  @Test
  void step_throwsAnError_engineHasFailed() throws Exception {
    List<StepOutcome.Failure> unreadable =
        new AbstractList<>() {
          @Override
          public StepOutcome.Failure get(int index) {
            throw new IndexOutOfBoundsException(index);
          }

          @Override
          public int size() {
            throw new NoClassDefFoundError("a test");
          }
        };
    StepOutcome outcome =
        new StepOutcome(1, new long[0], new int[0], new TokenLogprobs[0], List.of(), unreadable);
    bus.send(Addresses.stepDone(0), new StepDone(outcome, 0));
    assertThat(state.get(10, TimeUnit.SECONDS)).isInstanceOf(ServerState.Failed.class);
  }
}
