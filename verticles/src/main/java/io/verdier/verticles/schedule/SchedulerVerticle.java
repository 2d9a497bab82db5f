package io.verdier.verticles.schedule;

import io.verdier.cache.host.DiskDone;
import io.verdier.cache.host.DiskWork;
import io.verdier.cache.host.RemoteDone;
import io.verdier.engine.schedule.EngineRequest;
import io.verdier.engine.schedule.Scheduler;
import io.verdier.engine.schedule.StepInput;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutcome;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepPlan;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Cancel;
import io.verdier.verticles.bus.Control;
import io.verdier.verticles.bus.DiskResults;
import io.verdier.verticles.bus.DiskTasks;
import io.verdier.verticles.bus.Emissions;
import io.verdier.verticles.bus.ExecuteStep;
import io.verdier.verticles.bus.GiveUpMemory;
import io.verdier.verticles.bus.RecallWeights;
import io.verdier.verticles.bus.RemoteResults;
import io.verdier.verticles.bus.RemoteTasks;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.StepDone;
import io.verdier.verticles.bus.Tokenized;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.eventbus.Message;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Collects what happens between steps and asks the {@link Scheduler} for the next one. Owned by the
 * scheduler thread.
 *
 * <p>While a step runs, arrivals and cancellations pile up; its {@link StepDone} takes them all
 * into the next plan. When nothing runs, the first arrival starts a step at the end of the thread's
 * current queue, so that a burst becomes one batch. The next plan leaves before the news of the
 * last one: the device comes first.
 *
 * <p>Where two plans may be under way, the first message to the executor brings both, and each
 * {@link StepDone} is answered with one more, so that the device always has the next step.
 */
public final class SchedulerVerticle extends VerticleBase {
  private static final StepInput NOTHING = new StepInput(List.of(), List.of(), null);
  private static final StepOutput.Stats NO_STATS = new StepOutput.Stats(0, 0, 0, 0, 1, 0, 0, 0, 0);
  private static final Logger LOG = LoggerFactory.getLogger(SchedulerVerticle.class);

  private final int engine;
  private final Scheduler scheduler;
  private final List<String> detokenizers;
  private final EngineMetrics metrics;
  private final SequenceTimes times;
  private final EngineControls controls;

  private List<EngineRequest> arrivals = new ArrayList<>();
  private List<Cancellation> cancellations = new ArrayList<>();
  private List<DiskDone> diskDone = new ArrayList<>();
  private List<RemoteDone> remoteDone = new ArrayList<>();
  private StepOutput.Stats noted = NO_STATS; // since notedNanos
  private long notedNanos = System.nanoTime();
  private boolean stepRunning;
  private boolean stepQueued;
  private boolean failed;

  private Bus bus;

  /**
   * @param engine its number in this node
   * @param detokenizers where those of the model are
   * @param tracer null: requests are not traced
   */
  @SuppressWarnings("NullAway.Init") // the bus comes with the deployment
  public SchedulerVerticle(
      int engine,
      Scheduler scheduler,
      List<String> detokenizers,
      EngineMetrics metrics,
      @Nullable RequestTracer tracer) {
    this.engine = engine;
    this.scheduler = scheduler;
    this.detokenizers = List.copyOf(detokenizers);
    this.metrics = metrics;
    this.times = new SequenceTimes(metrics, tracer);
    this.controls = new EngineControls(scheduler, new ExecutorMemory(), metrics);
  }

  /** The executor hears of it before it hears of any later step. */
  private final class ExecutorMemory implements EngineControls.Memory {
    @Override
    public Future<?> giveUp() {
      return bus.request(Addresses.executor(engine), new GiveUpMemory(), GiveUpMemory.Done.class);
    }

    @Override
    public Future<?> recall() {
      return bus.request(Addresses.executor(engine), new RecallWeights(), RecallWeights.Done.class);
    }
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    return Future.join(
        bus.consumeAny(Addresses.scheduler(engine), message -> guarded(() -> onMessage(message))),
        bus.consume(
            Addresses.stepDone(engine), StepDone.class, done -> guarded(() -> onStepDone(done))),
        bus.consume(Addresses.STATE, ServerState.class, state -> guarded(() -> onState(state))));
  }

  private void onState(ServerState state) {
    if (state instanceof ServerState.Draining) {
      controls.drain();
      queueStep();
    }
  }

  /**
   * Does one piece of the work. Where it throws, whatever the reason, the books may be wrong from
   * here on: going on could mix up sequences, and Vert.x would drop the message and leave its
   * requests without an answer. So all say so and the process is restarted.
   */
  private void guarded(Runnable work) {
    if (failed) {
      return;
    }
    try {
      work.run();
    } catch (Throwable bug) {
      failed = true;
      bus.publish(Addresses.STATE, new ServerState.Failed("The scheduler failed."));
      LOG.error("The scheduler failed; the engine stops", bug);
    }
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case Tokenized tokenized -> {
        arrivals.addAll(tokenized.requests());
        times.onArrivals(tokenized.requests(), System.nanoTime());
      }
      case Cancel cancel -> {
        for (long key : cancel.keys()) {
          cancellations.add(new Cancellation(key, cancel.reason(), cancel.silent()));
        }
      }
      case Control control -> controls.add(control, message::reply);
      case DiskResults results -> diskDone.addAll(results.done());
      case RemoteResults results -> remoteDone.addAll(results.done());
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
    queueStep();
  }

  private void queueStep() {
    if (!stepRunning && !stepQueued) {
      stepQueued = true;
      context.runOnContext(ignored -> guarded(this::onIdleStep));
    }
  }

  private void onIdleStep() {
    stepQueued = false;
    if (!stepRunning) {
      step(null);
    }
  }

  private void onStepDone(StepDone done) {
    stepRunning = false;
    step(done.outcome());
  }

  private void step(@Nullable StepOutcome outcome) {
    cancellations.addAll(controls.begin());
    StepInput input = new StepInput(arrivals, cancellations, outcome, diskDone, remoteDone);
    arrivals = new ArrayList<>();
    cancellations = new ArrayList<>();
    diskDone = new ArrayList<>();
    remoteDone = new ArrayList<>();
    long nowNanos = System.nanoTime();
    StepOutput output = scheduler.step(input);
    StepOutput ahead = null;
    List<StepPlan> plans = new ArrayList<>(2);
    add(plans, output.plan());
    if (!output.plan().isEmpty() && scheduler.mayPlan()) {
      ahead = scheduler.step(NOTHING); // has no emissions, for it has heard of nothing
      add(plans, ahead.plan());
    }
    if (!plans.isEmpty() || scheduler.isUnderWay()) {
      stepRunning = true;
      bus.send(Addresses.executor(engine), new ExecuteStep(plans));
    }
    // Before the news leave: who has a whole answer finds it counted.
    observe(input.cancellations(), output, nowNanos);
    if (ahead != null) {
      observe(List.of(), ahead, nowNanos);
    }
    emit(output.plan().step(), output.emissions());
    if (controls.settle()) {
      queueStep();
    }
  }

  private void observe(List<Cancellation> cancellations, StepOutput output, long nowNanos) {
    send(output.diskWork());
    if (!output.remoteWork().isEmpty()) {
      bus.send(Addresses.remote(engine), new RemoteTasks(output.remoteWork()));
    }
    metrics.onTierWaits(noted, (nowNanos - notedNanos) / 1e9);
    noted = output.stats();
    notedNanos = nowNanos;
    metrics.onStep(output.stats());
    metrics.onPlan(output.plan());
    times.onStep(cancellations, output, nowNanos);
  }

  private void send(List<DiskWork> work) {
    if (work.isEmpty()) {
      return;
    }
    Map<Boolean, List<DiskWork>> byKind =
        work.stream().collect(Collectors.partitioningBy(it -> it.kind() == DiskWork.Kind.READ));
    byKind.forEach(
        (reads, some) -> {
          if (!some.isEmpty()) {
            bus.send(
                reads ? Addresses.diskReads(engine) : Addresses.diskWrites(engine),
                new DiskTasks(some));
          }
        });
  }

  private static void add(List<StepPlan> plans, StepPlan plan) {
    if (!plan.isEmpty() || plan.forgotten().length > 0) {
      plans.add(plan);
    }
  }

  private void emit(long step, List<Emission> emissions) {
    if (emissions.isEmpty()) {
      return;
    }
    int shards = detokenizers.size();
    if (shards == 1) {
      bus.send(detokenizers.getFirst(), new Emissions(step, emissions));
      return;
    }
    List<List<Emission>> byShard = new ArrayList<>(shards);
    for (int shard = 0; shard < shards; shard++) {
      byShard.add(new ArrayList<>());
    }
    for (Emission emission : emissions) {
      byShard.get(SequenceKey.shard(emission.key(), shards)).add(emission);
    }
    for (int shard = 0; shard < shards; shard++) {
      if (!byShard.get(shard).isEmpty()) {
        bus.send(detokenizers.get(shard), new Emissions(step, byShard.get(shard)));
      }
    }
  }
}
