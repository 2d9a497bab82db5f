package io.verdier.verticles.launch;

import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.lora.AdapterPolicy;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.DiskTier;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ResolveModel;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.cache.AdapterVerticle;
import io.verdier.verticles.cache.CacheVerticle;
import io.verdier.verticles.cache.DiskVerticle;
import io.verdier.verticles.cluster.ClusterVerticle;
import io.verdier.verticles.execute.ExecutorVerticle;
import io.verdier.verticles.grammar.GrammarVerticle;
import io.verdier.verticles.http.Admission;
import io.verdier.verticles.http.HttpVerticle;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.verdier.verticles.respond.ResponsesVerticle;
import io.verdier.verticles.schedule.SchedulerVerticle;
import io.verdier.verticles.token.DetokenizerVerticle;
import io.verdier.verticles.token.TokenizerVerticle;
import io.vertx.core.Deployable;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import io.vertx.core.VertxOptions;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One node: all verticles in one {@link Vertx}. Thread-safe.
 *
 * <p>Life: {@link #listen} binds the port, and health says 503; {@link #load} brings the model and
 * the engine, and health says 200; {@link #drain} refuses new work, lets running streams finish
 * until the deadline, and ends.
 *
 * <pre>
 *   http × cores ── tokenizer × w ── scheduler ── executor     × engines
 *        ▲               grammar         │
 *        └────── detokenizer × k ◄───────┘           cache
 *    responses                                       adapters
 * </pre>
 */
public final class Server {
  private static final Logger LOG = LoggerFactory.getLogger(Server.class);
  private static final int HTTP_INSTANCES_MAX = 8;

  /** Loading a model may take long; Vert.x would warn of a blocked thread every second of it. */
  private static final long WORKER_HOURS_MAX = 24;

  /** Encoding a prompt is heavier than following a stream; neither should crowd out the engine. */
  private static final int CORES_PER_TOKENIZER = 2;

  private static final int CORES_PER_DETOKENIZER = 4;

  /** Bound of the token histograms where no --max-model-len says better. */
  private static final int METRIC_TOKENS_MAX = 131_072;

  private static final long DRAIN_POLL_MILLIS = 10;
  private static final long LAST_WORDS_MILLIS = 1000;

  private final Vertx vertx;
  private final Bus bus;
  private final ServerConfig config;
  private final Admission admission;
  private final ServingMetrics metrics;
  private final int httpInstances;
  private final int tokenizers;
  private final EnginePool ownEngines;
  private final @Nullable RequestTracer tracer;
  private volatile int port;

  /** Where there is no cluster: null. */
  private volatile @Nullable ClusterVerticle cluster;

  private Server(Vertx vertx, ServerConfig config) {
    this.vertx = vertx;
    this.bus = Bus.register(vertx);
    this.config = config;
    this.admission = new Admission(config.limits().queuedRequestsMax());
    int tokensMax = config.model().maxModelLen().orElse(METRIC_TOKENS_MAX);
    int engines = config.backend().engines();
    this.metrics =
        new ServingMetrics(ModelParts.servedNames(config).getFirst(), tokensMax, engines);
    config.vertex().healthRoute().ifPresent(metrics.http()::leaveOut);
    int cores = Runtime.getRuntime().availableProcessors();
    // Probes and metrics are all that a node that takes no requests is asked for.
    int most = config.cluster().serves() ? HTTP_INSTANCES_MAX : 1;
    this.httpInstances = Math.clamp(cores, 1, most);
    this.tokenizers = Math.max(1, cores / CORES_PER_TOKENIZER);
    this.ownEngines =
        new EnginePool(
            EngineAddresses.own(engines, tokenizers),
            engine -> metrics.engine(engine).latest().waiting());
    this.tracer =
        config.tracing().endpoint().isEmpty()
            ? null
            : new RequestTracer(vertx, config.tracing(), Version.TEXT, metrics.traceSpans());
  }

  /**
   * Binds the port.
   *
   * @return fails where the port cannot be had
   */
  public static Future<Server> listen(ServerConfig config) {
    VertxOptions options =
        new VertxOptions()
            .setPreferNativeTransport(true)
            .setMaxWorkerExecuteTimeUnit(TimeUnit.HOURS)
            .setMaxWorkerExecuteTime(WORKER_HOURS_MAX);
    Server server = new Server(Vertx.builder().with(options).build(), config);
    return server.deployHttp().map(server).onFailure(failed -> server.vertx.close());
  }

  private Future<?> deployHttp() {
    ServerConfig shared;
    try {
      shared = config.http().port() == 0 ? config.withPort(freePort(config)) : config;
    } catch (IOException none) {
      return Future.failedFuture(none);
    }
    EnginePool generators = generators(); // all instances count in one
    List<Future<?>> deployments = new ArrayList<>();
    for (int instance = 0; instance < httpInstances; instance++) {
      deployments.add(deployHttp(instance, shared, generators).onSuccess(bound -> port = bound));
    }
    return Future.all(deployments);
  }

  /**
   * All instances must name one port, so a free one is found first. Somebody may take it meanwhile.
   */
  private static int freePort(ServerConfig config) throws IOException {
    try (ServerSocket socket = new ServerSocket()) {
      socket.bind(new InetSocketAddress(config.http().host(), 0));
      return socket.getLocalPort();
    }
  }

  private Future<Integer> deployHttp(int instance, ServerConfig config, EnginePool generators) {
    HttpVerticle.Setup setup =
        new HttpVerticle.Setup(config, admission, metrics, Version.TEXT, generators, tracer);
    HttpVerticle verticle = new HttpVerticle(setup, instance);
    return vertx.deployVerticle(verticle).map(ignored -> verticle.port());
  }

  /** Who generates for the HTTP instances. */
  private EnginePool generators() {
    return config.cluster().enabled() ? EnginePool.of(EngineAddresses.ofCluster()) : ownEngines;
  }

  /** The port that is bound; of interest when 0 was asked for. */
  public int port() {
    return port;
  }

  /** The base URL of this node on its own host. */
  public String localUrl() {
    return "http://127.0.0.1:" + port() + config.http().rootPath();
  }

  /** Sequences admitted and not yet released. */
  public int liveSequences() {
    return admission.taken();
  }

  /** The page of {@code /metrics}. */
  public String metricsText() {
    return metrics.text();
  }

  /** Calls back once if the engine fails for good. */
  public void onFailed(Consumer<String> handler) {
    bus.consume(
        Addresses.STATE,
        ServerState.class,
        state -> {
          if (state instanceof ServerState.Failed failed) {
            handler.accept(failed.reason());
          }
        });
  }

  /**
   * Brings the model and starts the engine.
   *
   * @return the card of the model, once requests are served
   */
  public Future<ModelCard> load() {
    return load(UnaryOperator.identity());
  }

  /** As {@link #load()}, with some parts replaced: how tests put faults into a running engine. */
  Future<ModelCard> load(UnaryOperator<ModelParts> replace) {
    if (!config.cluster().enabled()) {
      return loadEngine(replace)
          .onSuccess(card -> bus.publish(Addresses.STATE, new ServerState.Ready(card)));
    }
    String address = config.cluster().publicHost().orElse(config.http().host()) + ":" + port;
    var node =
        new ClusterVerticle(
            config,
            metrics,
            new ClusterVerticle.Setup(httpInstances, ownEngines, address, Version.TEXT));
    cluster = node;
    Promise<ModelCard> anyEngine = Promise.promise();
    return bus.consume(Addresses.STATE, ServerState.class, state -> onReady(state, anyEngine))
        .compose(ignored -> vertx.deployVerticle(node))
        .compose(ignored -> joinAndLoad(node, replace, anyEngine.future()));
  }

  /** The model is loaded while the others are looked for: both take seconds. */
  private Future<ModelCard> joinAndLoad(
      ClusterVerticle node, UnaryOperator<ModelParts> replace, Future<ModelCard> anyEngine) {
    Future<Void> joined = node.join();
    Future<?> loaded =
        config.cluster().generates()
            ? loadEngine(replace).onSuccess(node::engineReady)
            : deployStore();
    return Future.all(joined, loaded).compose(ignored -> anyEngine);
  }

  private static void onReady(ServerState state, Promise<ModelCard> anyEngine) {
    if (state instanceof ServerState.Ready ready) {
      anyEngine.tryComplete(ready.card());
    }
  }

  private Future<ModelCard> loadEngine(UnaryOperator<ModelParts> replace) {
    ArtifactStore artifacts;
    try {
      artifacts =
          new ArtifactStore(config, Server.class.getClassLoader(), DownloadDisplay.choose());
    } catch (ArtifactException misused) {
      return Future.failedFuture(misused);
    }
    return worker("cache", new CacheVerticle(artifacts, config))
        .compose(ignored -> resolveModel())
        .compose(model -> ModelParts.load(vertx, config, model))
        .map(replace)
        .compose(parts -> deployModel(parts, artifacts));
  }

  private Future<ResolveModel.Reply> resolveModel() {
    return bus.request(Addresses.CACHE, new ResolveModel(), ResolveModel.Reply.class);
  }

  private Future<ModelCard> deployModel(ModelParts parts, ArtifactStore artifacts) {
    int cores = Runtime.getRuntime().availableProcessors();
    int shards = Math.max(1, cores / CORES_PER_DETOKENIZER);
    List<Future<?>> deployments = new ArrayList<>();
    for (int number = 0; number < parts.engines().size(); number++) {
      deployments.addAll(deployEngine(number, shards, parts.engines().get(number)));
    }
    deployments.addAll(detokenizers(shards, parts));
    deployments.add(
        worker(
            "grammar", new GrammarVerticle(parts.vocabulary(), metrics), GrammarVerticle.THREADS));
    deployments.add(deployStore());
    for (int i = 0; i < tokenizers; i++) {
      deployments.add(worker("tokenizer-" + i, new TokenizerVerticle(i, parts.encoder())));
    }
    List<AdapterSlots> slots =
        parts.engines().stream().flatMap(engine -> engine.adapters().stream()).toList();
    if (!slots.isEmpty()) {
      deployments.add(adapters(parts, slots, artifacts));
    }
    if (config.adapters().enabled()) {
      metrics.serveAdapters(config.adapters().slots());
    }
    return Future.all(deployments)
        .compose(
            ignored ->
                slots.isEmpty()
                    ? Future.succeededFuture(List.<AdapterCard>of())
                    : StartAdapters.load(bus, config.adapters().modules()))
        .map(parts.card()::withAdapters);
  }

  /** What each engine has for itself. */
  private List<Future<?>> deployEngine(int number, int shards, ModelParts.Engine engine) {
    EngineMetrics its = metrics.engine(number);
    its.cacheConfig(engine.cacheFacts());
    engine.tiers().ifPresent(it -> its.tierBlocks(it.blockBytes()));
    String of = config.backend().engines() == 1 ? "" : "-" + number;
    List<Future<?>> deployments = new ArrayList<>();
    deployments.add(
        worker(
            "scheduler" + of,
            new SchedulerVerticle(number, engine.scheduler(), shards, its, tracer)));
    deployments.add(worker("executor" + of, new ExecutorVerticle(number, engine.runner())));
    DiskTier disk = engine.tiers().map(it -> it.host().disk()).orElse(null);
    if (disk != null) {
      String scheduler = Addresses.scheduler(number);
      deployments.add(
          worker(
              "disk-reads" + of, new DiskVerticle(Addresses.diskReads(number), scheduler, disk)));
      deployments.add(
          worker(
              "disk-writes" + of, new DiskVerticle(Addresses.diskWrites(number), scheduler, disk)));
    }
    return deployments;
  }

  private Future<?> adapters(ModelParts parts, List<AdapterSlots> slots, ArtifactStore artifacts) {
    ModelCard card = parts.card();
    AdapterVerticle.Setup setup =
        new AdapterVerticle.Setup(
            artifacts,
            new AdapterPolicy(config.adapters().sources()),
            slots,
            metrics,
            Stream.concat(card.names().stream(), card.aliases().stream())
                .collect(Collectors.toUnmodifiableSet()),
            card.names().getFirst());
    return worker("adapters", new AdapterVerticle(setup), AdapterVerticle.THREADS);
  }

  private Future<?> deployStore() {
    return config.http().storeResponses() && config.cluster().serves()
        ? vertx.deployVerticle(new ResponsesVerticle(config.limits()))
        : Future.succeededFuture();
  }

  private List<Future<?>> detokenizers(int shards, ModelParts parts) {
    // To the engine, the other nodes are one more HTTP instance.
    int listeners = config.cluster().enabled() ? httpInstances + 1 : httpInstances;
    List<DetokenizerVerticle> verticles = new ArrayList<>();
    List<Future<?>> deployments = new ArrayList<>();
    for (int shard = 0; shard < shards; shard++) {
      var detokenizer = new DetokenizerVerticle(shard, listeners, parts.tokenizer());
      verticles.add(detokenizer);
      deployments.add(worker("detokenizer-" + shard, detokenizer));
    }
    metrics.watch(
        "verdier:detokenizer_streams",
        "Sequences whose text is being made.",
        () -> verticles.stream().mapToInt(DetokenizerVerticle::liveStreams).sum());
    return deployments;
  }

  /** Each worker has a thread of its own, named after it. */
  private Future<String> worker(String name, Deployable verticle) {
    return worker(name, verticle, 1);
  }

  /**
   * @param threads its own, and those for work that it hands on
   */
  private Future<String> worker(String name, Deployable verticle, int threads) {
    DeploymentOptions options =
        new DeploymentOptions()
            .setThreadingModel(ThreadingModel.WORKER)
            .setWorkerPoolName("verdier-" + name)
            .setWorkerPoolSize(threads)
            .setMaxWorkerExecuteTimeUnit(TimeUnit.HOURS)
            .setMaxWorkerExecuteTime(WORKER_HOURS_MAX);
    return vertx.deployVerticle(verticle, options);
  }

  /**
   * Refuses new work, waits for running streams until the deadline, then cuts them with an error
   * event.
   *
   * @return true where every stream came to its own end
   */
  public Future<Boolean> drain() {
    bus.publish(Addresses.STATE, new ServerState.Draining());
    LOG.info("Draining: {} sequences are running", running());
    return idle(config.limits().drainTimeout().toMillis())
        .compose(
            finished -> {
              if (finished) {
                return Future.succeededFuture(true);
              }
              LOG.warn("The drain deadline passed; {} sequences are cut", running());
              bus.publish(Addresses.STATE, new ServerState.Stopping());
              return idle(LAST_WORDS_MILLIS).map(false);
            });
  }

  /** Sequences that a client waits for, here or at another node. */
  private int running() {
    ClusterVerticle node = cluster;
    return admission.taken() + (node == null ? 0 : node.wantedJobs());
  }

  /**
   * Ends all threads; the runner frees its memory behind the step that may still run. Other nodes
   * are told first, so that nobody counts on this one any more; traces that wait are sent before
   * the end.
   */
  public Future<Void> close() {
    ClusterVerticle node = cluster;
    Future<Void> left = node == null ? Future.succeededFuture() : node.leave();
    RequestTracer traces = tracer;
    return left.eventually(() -> traces == null ? Future.succeededFuture() : traces.close())
        .eventually(vertx::close);
  }

  /** Whether no sequence was live any more before the time was over. */
  private Future<Boolean> idle(long withinMillis) {
    Promise<Boolean> promise = Promise.promise();
    awaitIdle(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(withinMillis), promise);
    return promise.future();
  }

  /**
   * One timer after the other: a periodic one that cancels itself may run before it can be
   * cancelled.
   */
  private void awaitIdle(long deadlineNanos, Promise<Boolean> promise) {
    boolean idle = running() == 0;
    if (idle || System.nanoTime() - deadlineNanos > 0) {
      promise.complete(idle);
    } else {
      vertx.setTimer(DRAIN_POLL_MILLIS, timer -> awaitIdle(deadlineNanos, promise));
    }
  }
}
