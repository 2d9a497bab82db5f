package io.verdier.verticles.launch;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.backend.HostMemory;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.cluster.ClusterVerticle;
import io.verdier.verticles.cluster.keep.CacheNodeVerticle;
import io.verdier.verticles.http.Admission;
import io.verdier.verticles.http.BodyBudget;
import io.verdier.verticles.http.HttpVerticle;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.verdier.verticles.respond.ResponsesVerticle;
import io.verdier.verticles.token.DetokenizerVerticle;
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
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
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
  private static final int FREE_PORT_TRIES = 5; // that somebody else may take in the meantime

  /** Loading a model may take long; Vert.x would warn of a blocked thread every second of it. */
  static final long WORKER_HOURS_MAX = 24;

  private static final long DRAIN_POLL_MILLIS = 10;
  private static final long LAST_WORDS_MILLIS = 1000;

  private final Vertx vertx;
  private final Bus bus;
  private final List<ServerConfig> models;
  private final ServerConfig config; // what all models share
  private final Admission admission;
  private final ServingMetrics metrics;
  private final int httpInstances;
  private final EnginePool engines;
  private final List<DetokenizerVerticle> streams = new CopyOnWriteArrayList<>();
  private final @Nullable RequestTracer tracer;
  private volatile int port;

  /** Where there is no cluster: null. */
  private volatile @Nullable ClusterVerticle cluster;

  private Server(Vertx vertx, List<ServerConfig> models) {
    this.vertx = vertx;
    this.bus = Bus.register(vertx);
    this.models = models;
    this.config = models.getFirst();
    this.admission =
        new Admission(
            config.limits().queuedRequestsMax(), BodyBudget.ofHeap(config.limits().bodyBytesMax()));
    this.metrics = new ServingMetrics(models.stream().map(ModelSet::counted).toList());
    config.vertex().healthRoute().ifPresent(metrics.http()::leaveOut);
    metrics.watch(
        "verdier:detokenizer_streams",
        "Sequences whose text is being made.",
        () -> streams.stream().mapToInt(DetokenizerVerticle::liveStreams).sum());
    int blockTokens = config.cache().blockTokens();
    int cores = Runtime.getRuntime().availableProcessors();
    // Probes and metrics are all that a node that takes no requests is asked for.
    int most = config.cluster().serves() ? HTTP_INSTANCES_MAX : 1;
    this.httpInstances = Math.clamp(cores, 1, most);
    this.engines =
        new EnginePool(
            engine -> metrics.engine(engine).latest().waiting(),
            engine -> metrics.engine(engine).latest().cachedTokensMax(blockTokens));
    this.tracer =
        config.tracing().endpoint().isEmpty()
            ? null
            : new RequestTracer(vertx, config.tracing(), Version.TEXT, metrics.traceSpans());
  }

  /**
   * Binds the port.
   *
   * @param models that will be served, at least one; with names of their own
   * @return fails where the port cannot be had
   */
  public static Future<Server> listen(List<ServerConfig> models) {
    return listen(models, models.getFirst().http().port() == 0 ? FREE_PORT_TRIES : 1);
  }

  private static Future<Server> listen(List<ServerConfig> models, int tries) {
    VertxOptions options =
        new VertxOptions()
            .setPreferNativeTransport(true)
            .setMaxWorkerExecuteTimeUnit(TimeUnit.HOURS)
            .setMaxWorkerExecuteTime(WORKER_HOURS_MAX);
    Server server = new Server(Vertx.builder().with(options).build(), models);
    return server
        .deployHttp()
        .map(server)
        .recover(
            failed -> {
              server.vertx.close();
              boolean again = tries > 1 && failed instanceof IOException;
              return again ? listen(models, tries - 1) : Future.failedFuture(failed);
            });
  }

  private Future<?> deployHttp() {
    ServerConfig shared;
    try {
      shared = config.http().port() == 0 ? config.withPort(freePort(config.http().host())) : config;
    } catch (IOException none) {
      return Future.failedFuture(none);
    }
    HttpVerticle.Setup setup = // one for all instances, which count in what it holds
        new HttpVerticle.Setup(
            shared, admission, metrics, Version.TEXT, generators(), engines, tracer);
    List<Future<?>> deployments = new ArrayList<>();
    for (int instance = 0; instance < httpInstances; instance++) {
      deployments.add(deployHttp(instance, setup).onSuccess(bound -> port = bound));
    }
    return Future.all(deployments);
  }

  /**
   * All instances must name one port, so a free one is found first. Somebody may take it meanwhile:
   * then another one is.
   */
  static int freePort(String host) throws IOException {
    try (ServerSocket socket = new ServerSocket()) {
      socket.bind(new InetSocketAddress(host, 0));
      return socket.getLocalPort();
    }
  }

  private Future<Integer> deployHttp(int instance, HttpVerticle.Setup setup) {
    HttpVerticle verticle = new HttpVerticle(setup, instance);
    return vertx.deployVerticle(verticle).map(ignored -> verticle.port());
  }

  /** Who generates for the HTTP instances. */
  private EnginePool generators() {
    return config.cluster().enabled() ? EnginePool.of(EngineAddresses.ofCluster()) : engines;
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
   * Brings the models and starts their engines.
   *
   * @return the cards of the models, once requests are served
   */
  public Future<List<ModelCard>> load() {
    return load(UnaryOperator.identity());
  }

  /** As {@link #load()}, with some parts replaced: how tests put faults into a running engine. */
  Future<List<ModelCard>> load(UnaryOperator<ModelParts> replace) {
    if (!config.cluster().enabled()) {
      return loadModels(replace)
          .onSuccess(cards -> bus.publish(Addresses.STATE, new ServerState.Ready(cards)));
    }
    String address = config.cluster().publicHost().orElse(config.http().host()) + ":" + port;
    var node =
        new ClusterVerticle(
            config,
            metrics,
            new ClusterVerticle.Setup(httpInstances, engines, address, Version.TEXT));
    cluster = node;
    Promise<List<ModelCard>> anyEngine = Promise.promise();
    return bus.consume(Addresses.STATE, ServerState.class, state -> onReady(state, anyEngine))
        .compose(ignored -> vertx.deployVerticle(node))
        .compose(ignored -> joinAndLoad(node, replace, anyEngine.future()));
  }

  /** The model is loaded while the others are looked for: both take seconds. */
  private Future<List<ModelCard>> joinAndLoad(
      ClusterVerticle node, UnaryOperator<ModelParts> replace, Future<List<ModelCard>> anyEngine) {
    Future<Void> joined = node.join();
    Future<?> loaded =
        config.cluster().generates()
            ? loadModels(replace).onSuccess(cards -> node.engineReady(cards.getFirst()))
            : deployStore();
    Future<?> kept = config.cluster().keepsBlocks() ? deployCacheNode() : Future.succeededFuture();
    return Future.all(joined, loaded, kept).compose(ignored -> anyEngine);
  }

  private static void onReady(ServerState state, Promise<List<ModelCard>> anyEngine) {
    if (state instanceof ServerState.Ready ready) {
      anyEngine.tryComplete(ready.cards());
    }
  }

  private Future<List<ModelCard>> loadModels(UnaryOperator<ModelParts> replace) {
    // To the engines, the other nodes are one more HTTP instance.
    int listeners = config.cluster().enabled() ? httpInstances + 1 : httpInstances;
    if (config.adapters().enabled()) {
      metrics.serveAdapters(config.adapters().slots());
    }
    ModelSet set =
        new ModelSet(
            vertx, new ModelSet.Setup(config, listeners, streams, engines, metrics, tracer));
    Promise<List<ModelCard>> loaded = Promise.promise();
    vertx.runOnContext(
        ignored -> deployStore().compose(stored -> set.start(models, replace)).onComplete(loaded));
    return loaded.future();
  }

  private Future<?> deployCacheNode() {
    ServerConfig.PrefixTiers size = config.cache().tiers();
    long bytes =
        size.hostBytes().orElseGet(() -> (long) (size.hostShare() * HostMemory.freeBytes()));
    LOG.info("Keeping prefixes of the cluster's engines: {} MiB", bytes >> 20);
    return vertx.deployVerticle(
        new CacheNodeVerticle(config.cluster(), bytes, metrics),
        new DeploymentOptions()
            .setThreadingModel(ThreadingModel.WORKER)
            .setWorkerPoolName("verdier-cache-node")
            .setWorkerPoolSize(1));
  }

  private Future<?> deployStore() {
    return config.http().storeResponses() && config.cluster().serves()
        ? vertx.deployVerticle(new ResponsesVerticle(config.limits()))
        : Future.succeededFuture();
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
    return idle(config.limits().drainTimeout().toMillis(), this::hasFailed)
        .compose(
            finished -> {
              if (finished) {
                return Future.succeededFuture(true);
              }
              if (!hasFailed()) {
                LOG.warn("The drain deadline passed; {} sequences are cut", running());
              }
              return cut();
            });
  }

  /**
   * Cuts running streams with an error event.
   *
   * @return false, once their last bytes have left or nobody waits for them any more
   */
  Future<Boolean> cut() {
    bus.publish(Addresses.STATE, new ServerState.Stopping());
    return idle(LAST_WORDS_MILLIS, () -> false).map(false);
  }

  private boolean hasFailed() {
    return admission.state() instanceof ServerState.Failed;
  }

  /** What is to come to an end; sequences of an engine that has failed never do. */
  private int awaited() {
    return hasFailed() ? admission.requests() : running();
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

  /**
   * Whether no sequence was live any more before the time was over.
   *
   * @param givenUp whether to wait no longer
   */
  private Future<Boolean> idle(long withinMillis, BooleanSupplier givenUp) {
    Promise<Boolean> promise = Promise.promise();
    long deadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(withinMillis);
    awaitIdle(() -> givenUp.getAsBoolean() || System.nanoTime() - deadlineNanos > 0, promise);
    return promise.future();
  }

  /**
   * One timer after the other: a periodic one that cancels itself may run before it can be
   * cancelled.
   */
  private void awaitIdle(BooleanSupplier isOver, Promise<Boolean> promise) {
    boolean idle = awaited() == 0;
    if (idle || isOver.getAsBoolean()) {
      promise.complete(idle);
    } else {
      vertx.setTimer(DRAIN_POLL_MILLIS, timer -> awaitIdle(isOver, promise));
    }
  }
}
