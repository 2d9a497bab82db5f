package io.verdier.verticles.execute;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.DeviceException;
import io.verdier.engine.backend.DeviceException.Aftermath;
import io.verdier.engine.run.StepRunner;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.ExecuteStep;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.StepDone;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Runs one plan after the other on its device. Owned by the executor thread. */
public final class ExecutorVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(ExecutorVerticle.class);

  private final StepRunner runner;
  private Bus bus;

  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public ExecutorVerticle(StepRunner runner) {
    this.runner = runner;
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    return bus.consume(Addresses.EXECUTOR, ExecuteStep.class, this::onExecuteStep);
  }

  private void onExecuteStep(ExecuteStep message) {
    long start = System.nanoTime();
    StepOutcome outcome = run(message.plan());
    bus.send(Addresses.STEP_DONE, new StepDone(outcome, System.nanoTime() - start));
  }

  /**
   * A step that throws fails its own sequences, whatever the reason; the next step finds the
   * executor ready, unless the device is lost: then the engine is.
   */
  private StepOutcome run(StepPlan plan) {
    try {
      return runner.run(plan);
    } catch (Throwable bug) { // an answer that never comes would stop the engine for good
      if (bug instanceof DeviceException device && device.aftermath() == Aftermath.LOST) {
        bus.publish(Addresses.STATE, new ServerState.Failed("The device failed."));
      }
      StepOutcome failed = failed(plan);
      LOG.warn("Step {} with {} sequences failed", plan.step(), plan.slices().size(), bug);
      return failed;
    }
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
        plan.step(), new long[0], new int[0], new TokenLogprobs[0], List.of(), failures);
  }

  @Override
  public Future<?> stop() {
    runner.close();
    return Future.succeededFuture();
  }
}
