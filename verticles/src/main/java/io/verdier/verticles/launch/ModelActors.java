package io.verdier.verticles.launch;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.lora.AdapterPolicy;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.backend.RemoteTier;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.run.WorkMeter;
import io.verdier.engine.text.Tokenizer;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ResolveModel;
import io.verdier.verticles.cache.AdapterVerticle;
import io.verdier.verticles.cache.CacheVerticle;
import io.verdier.verticles.cache.DiskVerticle;
import io.verdier.verticles.cluster.keep.RemoteVerticle;
import io.verdier.verticles.execute.ExecutorVerticle;
import io.verdier.verticles.grammar.GrammarVerticle;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.verdier.verticles.schedule.SchedulerVerticle;
import io.verdier.verticles.token.DetokenizerVerticle;
import io.verdier.verticles.token.TokenizerVerticle;
import io.vertx.core.Deployable;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One model of a node: brings its files, loads it, and deploys its engines and the actors around
 * them, and takes them away again. Owned by whoever starts the server; used once.
 */
final class ModelActors {
  /** Encoding a prompt is heavier than following a stream; neither should crowd out the engine. */
  private static final int CORES_PER_TOKENIZER = 2;

  private static final int CORES_PER_DETOKENIZER = 4;

  private final Vertx vertx;
  private final Bus bus;
  private final ServerConfig config;
  private final Setup setup;
  private final List<Deployed> deployed = new CopyOnWriteArrayList<>();
  private final List<DetokenizerVerticle> streams = new CopyOnWriteArrayList<>();
  private volatile @Nullable Tokenizer tokenizer; // null: the model has not been read

  /** What goes first when a model goes: whoever sends before whoever computes, files last. */
  private enum Turn {
    AROUND,
    EXECUTOR,
    FILES
  }

  private record Deployed(String id, Turn turn) {}

  /**
   * Where the model stands in its node.
   *
   * @param number among the models
   * @param addresses of its engines
   * @param listeners HTTP instances that wait for text, the cluster's gate among them
   * @param streams gets the detokenizers
   * @param tracer null: requests are not traced
   */
  record Setup(
      ServerConfig config,
      int number,
      EngineAddresses addresses,
      int listeners,
      List<DetokenizerVerticle> streams,
      ServingMetrics metrics,
      @Nullable RequestTracer tracer) {}

  ModelActors(Vertx vertx, Setup setup) {
    this.vertx = vertx;
    this.bus = new Bus(vertx);
    this.config = setup.config;
    this.setup = setup;
  }

  /** How many each model has. */
  static int tokenizers() {
    return Math.max(1, Runtime.getRuntime().availableProcessors() / CORES_PER_TOKENIZER);
  }

  private static int detokenizers() {
    return Math.max(1, Runtime.getRuntime().availableProcessors() / CORES_PER_DETOKENIZER);
  }

  /**
   * @param replace some of its parts, as tests do
   * @return the model's card, once its engines wait for work
   */
  Future<ModelCard> deploy(UnaryOperator<ModelParts> replace) {
    ArtifactStore artifacts;
    try {
      artifacts =
          new ArtifactStore(config, Server.class.getClassLoader(), DownloadDisplay.choose());
    } catch (ArtifactException misused) {
      return Future.failedFuture(misused);
    }
    String cache = Addresses.cache(setup.number);
    return worker("cache", new CacheVerticle(setup.number, artifacts, config))
        .compose(ignored -> bus.request(cache, new ResolveModel(), ResolveModel.Reply.class))
        .compose(files -> ModelParts.load(vertx, config, files))
        .map(replace)
        .compose(parts -> deploy(parts, artifacts));
  }

  private Future<ModelCard> deploy(ModelParts parts, ArtifactStore artifacts) {
    tokenizer = parts.tokenizer();
    ServingMetrics metrics = setup.metrics;
    List<String> detokenizers = new ArrayList<>();
    List<Future<?>> deployments = new ArrayList<>();
    for (int i = 0; i < detokenizers(); i++) {
      int shard = setup.number * detokenizers() + i;
      var detokenizer = new DetokenizerVerticle(shard, setup.listeners, parts.tokenizer());
      streams.add(detokenizer);
      setup.streams.add(detokenizer);
      detokenizers.add(Addresses.detokenizer(shard));
      deployments.add(worker("detokenizer-" + i, detokenizer));
    }
    for (int i = 0; i < parts.engines().size(); i++) {
      deployments.addAll(deployEngine(i, detokenizers, parts.engines().get(i)));
    }
    deployments.add(
        worker(
            "grammar",
            new GrammarVerticle(setup.number, parts.vocabulary(), metrics),
            GrammarVerticle.THREADS));
    for (int i = 0; i < tokenizers(); i++) {
      int instance = setup.number * tokenizers() + i;
      deployments.add(
          worker("tokenizer-" + i, new TokenizerVerticle(instance, setup.number, parts.encoder())));
    }
    List<AdapterSlots> slots =
        parts.engines().stream().flatMap(engine -> engine.adapters().stream()).toList();
    if (!slots.isEmpty()) {
      deployments.add(adapters(parts.card(), slots, artifacts));
    }
    return Future.join(deployments) // all of them, so that all can be taken away
        .compose(
            ignored ->
                slots.isEmpty()
                    ? Future.succeededFuture(List.<AdapterCard>of())
                    : StartAdapters.load(
                        bus, setup.addresses.adapters(), config.adapters().modules()))
        .map(parts.card()::withAdapters);
  }

  /** Takes the model away: its memory is free when this succeeds. No request may be running. */
  Future<Void> undeploy() {
    setup.streams.removeAll(streams);
    Future<Void> done = Future.succeededFuture();
    for (Turn turn : Turn.values()) {
      done =
          done.compose(
              ignored ->
                  Future.join(
                          deployed.stream()
                              .filter(it -> it.turn == turn)
                              .map(it -> vertx.undeploy(it.id))
                              .toList())
                      .mapEmpty());
    }
    return done.onComplete(ignored -> closeTokenizer());
  }

  private void closeTokenizer() {
    Tokenizer known = tokenizer;
    if (known != null) {
      known.close();
    }
  }

  /** What each engine has for itself. */
  private List<Future<?>> deployEngine(
      int index, List<String> detokenizers, ModelParts.Engine engine) {
    int number = setup.addresses.firstEngine() + index;
    EngineMetrics its = setup.metrics.engine(number);
    its.cacheConfig(engine.cacheFacts());
    engine.tiers().ifPresent(it -> its.tierBlocks(it.blockBytes()));
    if (config.measures().blocks()) {
      double share = config.measures().blockShare();
      engine.kv().observe(its.blockTimes(engine.kv().blockCount(), share));
    }
    if (config.measures().work()) {
      its.estimate(new WorkMeter(engine.spec(), engine.device()));
    }
    String of = config.backend().engines() == 1 ? "" : "-" + index;
    String scheduler = Addresses.scheduler(number);
    List<Future<?>> deployments = new ArrayList<>();
    deployments.add(
        worker(
            "scheduler" + of,
            new SchedulerVerticle(number, engine.scheduler(), detokenizers, its, setup.tracer)));
    deployments.add(worker("executor" + of, new ExecutorVerticle(number, engine.runner())));
    DiskTier disk = engine.tiers().map(it -> it.host().disk()).orElse(null);
    if (disk != null) {
      deployments.add(
          worker(
              "disk-reads" + of, new DiskVerticle(Addresses.diskReads(number), scheduler, disk)));
      deployments.add(
          worker(
              "disk-writes" + of, new DiskVerticle(Addresses.diskWrites(number), scheduler, disk)));
    }
    RemoteTier remote = engine.tiers().map(it -> it.host().remote()).orElse(null);
    if (remote != null) {
      deployments.add(worker("remote" + of, new RemoteVerticle(number, remote, config.cluster())));
    }
    return deployments;
  }

  private Future<?> adapters(ModelCard card, List<AdapterSlots> slots, ArtifactStore artifacts) {
    AdapterVerticle.Setup its =
        new AdapterVerticle.Setup(
            setup.addresses,
            artifacts,
            new AdapterPolicy(config.adapters().sources().allowed()),
            config.adapters().sources().fetchTime(),
            slots,
            setup.metrics,
            Stream.concat(card.names().stream(), card.aliases().stream())
                .collect(Collectors.toUnmodifiableSet()),
            card.name());
    return worker("adapters", new AdapterVerticle(its));
  }

  /** Each worker has a thread of its own, named after it. */
  private Future<String> worker(String name, Deployable verticle) {
    return worker(name, verticle, 1);
  }

  /**
   * @param threads its own, and those for work that it hands on
   */
  private Future<String> worker(String name, Deployable verticle, int threads) {
    String prefix = setup.number == 0 ? "verdier-" : "verdier-" + setup.number + "-";
    DeploymentOptions options =
        new DeploymentOptions()
            .setThreadingModel(ThreadingModel.WORKER)
            .setWorkerPoolName(prefix + name)
            .setWorkerPoolSize(threads)
            .setMaxWorkerExecuteTimeUnit(TimeUnit.HOURS)
            .setMaxWorkerExecuteTime(Server.WORKER_HOURS_MAX);
    Turn turn =
        switch (verticle) {
          case ExecutorVerticle ignored -> Turn.EXECUTOR;
          case CacheVerticle ignored -> Turn.FILES;
          default -> Turn.AROUND;
        };
    return vertx
        .deployVerticle(verticle, options)
        .onSuccess(id -> deployed.add(new Deployed(id, turn)));
  }
}
