package io.verdier.verticles.execute;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.DeviceException.Aftermath;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.ExecuteStep;
import io.verdier.verticles.bus.GiveUpMemory;
import io.verdier.verticles.bus.LendAdapter;
import io.verdier.verticles.bus.RecallAdapter;
import io.verdier.verticles.bus.RecallWeights;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.StepDone;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs plans on its device, in order. Owned by the executor thread.
 *
 * <p>Every message begins the plans it brings and finishes the oldest one. Where the device works
 * by itself a plan is therefore begun while the one before it runs. Between them come adapters from
 * host memory and go; a slot is filled when a sequence begins that names its adapter.
 */
public final class ExecutorVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(ExecutorVerticle.class);

  private final int engine;
  private final StepRunner runner;
  private final Deque<Begun> underWay = new ArrayDeque<>(); // oldest first
  private Bus bus;

  /**
   * A plan that the scheduler waits for.
   *
   * @param failed its outcome, where it could not even be begun
   */
  private record Begun(StepPlan plan, @Nullable StepOutcome failed) {}

  /**
   * @param engine its number in this node
   */
  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public ExecutorVerticle(int engine, StepRunner runner) {
    this.engine = engine;
    this.runner = runner;
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    runner.onLost(
        reason ->
            bus.publish(
                Addresses.STATE,
                new ServerState.Failed("A stage of the model failed: " + reason + ".")));
    return bus.consumeAny(Addresses.executor(engine), this::onMessage);
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case ExecuteStep step -> onExecuteStep(step);
      case LendAdapter adapter -> adapters().lend(adapter.identity(), adapter.room());
      case RecallAdapter(String identity) ->
          adapters().recall(identity, () -> message.reply(new RecallAdapter.Reply()));
      case GiveUpMemory ignored -> {
        runner.vacate();
        message.reply(new GiveUpMemory.Done());
      }
      case RecallWeights ignored -> recallWeights(message);
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  /** Without weights no step can be run: then the engine has failed, and a new process may not. */
  private void recallWeights(Message<Object> message) {
    try {
      runner.recall();
      message.reply(new RecallWeights.Done());
    } catch (Throwable lost) {
      LOG.error("The weights that were given up cannot be had again", lost);
      bus.publish(Addresses.STATE, new ServerState.Failed("The weights were lost."));
      message.reply(Refused.of(lost));
    }
  }

  private AdapterSlots adapters() {
    return Objects.requireNonNull(runner.adapters(), "there are no slots for adapters");
  }

  private void onExecuteStep(ExecuteStep message) {
    long start = System.nanoTime();
    message.plans().forEach(plan -> underWay.add(begin(plan)));
    StepOutcome outcome = finish(underWay.remove());
    bus.send(Addresses.stepDone(engine), new StepDone(outcome, System.nanoTime() - start));
  }

  private Begun begin(StepPlan plan) {
    try {
      runner.begin(plan);
      return new Begun(plan, null);
    } catch (Throwable bug) { // an answer that never comes would stop the engine for good
      return new Begun(plan, failed(plan, bug));
    }
  }

  private StepOutcome finish(Begun oldest) {
    if (oldest.failed != null) {
      return oldest.failed;
    }
    try {
      return runner.finish();
    } catch (Throwable bug) { // likewise
      return failed(oldest.plan, bug);
    }
  }

  /**
   * A step that throws fails its own sequences, whatever the reason; the next step finds the
   * executor ready, unless the device is lost: then the engine is.
   */
  private StepOutcome failed(StepPlan plan, Throwable bug) {
    if (bug instanceof DeviceException device && device.aftermath() == Aftermath.LOST) {
      bus.publish(Addresses.STATE, new ServerState.Failed("The device failed."));
    }
    StepOutcome failed = failed(plan);
    LOG.warn("Step {} with {} sequences failed", plan.step(), plan.slices().size(), bug);
    return failed;
  }

  static StepOutcome failed(StepPlan plan) {
    List<StepOutcome.Failure> failures =
        plan.slices().stream()
            .map(
                slice ->
                    new StepOutcome.Failure(
                        slice.key(), ErrorCode.INTERNAL, "The step failed inside the server."))
            .toList();
    return new StepOutcome(
            plan.step(), new long[0], new int[0], new TokenLogprobs[0], List.of(), failures)
        .withoutCopies();
  }

  @Override
  public Future<?> stop() {
    runner.close();
    return Future.succeededFuture();
  }
}
