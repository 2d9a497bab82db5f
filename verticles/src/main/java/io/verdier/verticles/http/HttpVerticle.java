package io.verdier.verticles.http;

import io.verdier.conf.ServerConfig;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.Abort;
import io.verdier.verticles.bus.AdapterNames;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Deltas;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.http.routes.Routes;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.http.HttpServer;
import io.vertx.core.http.HttpServerOptions;
import org.jspecify.annotations.Nullable;

/**
 * The ingress: accepts connections, passes work to the tokenizer and answers with what comes back.
 * Owned by one event loop; deployed once per event loop, all instances on one port.
 *
 * <p>The port opens at once and answers 503 until the model is there: Vertex AI restarts a
 * container whose port stays closed.
 */
public final class HttpVerticle extends VerticleBase {
  private static final int LINE_BYTES_MAX = 8192;

  private final Setup setup;
  private final int instance;

  private HttpServer server;
  private Sequences sequences;
  private ConnectionClock clock;

  /**
   * What all instances are given.
   *
   * @param version as {@code /version} tells it
   * @param engines who generates
   * @param ownEngines those of this node; others may generate in a cluster
   * @param largeAnswers hears of every answer's size
   * @param tracer null: requests are not traced
   */
  public record Setup(
      ServerConfig config,
      Admission admission,
      ServingMetrics metrics,
      String version,
      EnginePool engines,
      EnginePool ownEngines,
      LargeAnswers largeAnswers,
      @Nullable RequestTracer tracer) {

    public Setup(
        ServerConfig config,
        Admission admission,
        ServingMetrics metrics,
        String version,
        EnginePool engines,
        EnginePool ownEngines,
        @Nullable RequestTracer tracer) {
      this(
          config,
          admission,
          metrics,
          version,
          engines,
          ownEngines,
          new LargeAnswers(config),
          tracer);
    }

    /** Without traces. */
    public Setup(
        ServerConfig config,
        Admission admission,
        ServingMetrics metrics,
        String version,
        EnginePool engines) {
      this(config, admission, metrics, version, engines, engines, null);
    }
  }

  /**
   * @param instance number of this instance in its node, 0 to 255: part of its sequences' keys
   */
  @SuppressWarnings("NullAway.Init") // these come with the deployment
  public HttpVerticle(Setup setup, int instance) {
    this.setup = setup;
    this.instance = instance;
  }

  @Override
  public Future<?> start() {
    Ingress ingress = new Ingress(setup, instance, vertx, context);
    sequences = ingress.sequences();
    Bus bus = ingress.bus();
    Future<?> states = bus.consume(Addresses.STATE, ServerState.class, ingress::onState);
    Future<?> aborts = bus.consume(Addresses.ABORTS, Abort.class, ingress::onAbort);
    Future<?> deltas = bus.consume(Addresses.http(instance), Deltas.class, sequences::onDeltas);
    Future<?> adapters =
        bus.consume(Addresses.ADAPTER_NAMES, AdapterNames.class, ingress::onAdapterNames);
    // An announcement made before this instance listened.
    ingress.onState(setup.admission().state());

    clock = new ConnectionClock(vertx, ingress.limits());
    Dispatcher dispatcher = new Dispatcher(ingress, clock, Routes.table(setup.config()));
    server =
        vertx
            .createHttpServer(options())
            .connectionHandler(clock::onConnected)
            .invalidRequestHandler(dispatcher::onInvalid)
            .requestHandler(dispatcher::onRequest);
    return Future.join(states, aborts, deltas, adapters).compose(ignored -> server.listen());
  }

  /** Whoever waited for last bytes has done so before this. */
  @Override
  public Future<?> stop() {
    sequences.close();
    clock.cutAll();
    return Future.succeededFuture();
  }

  private HttpServerOptions options() {
    return new HttpServerOptions()
        .setHost(setup.config().http().host())
        .setPort(setup.config().http().port())
        .setMaxInitialLineLength(LINE_BYTES_MAX)
        .setMaxHeaderSize(setup.config().limits().headerBytesMax())
        .setTcpNoDelay(true)
        .setHandle100ContinueAutomatically(false)
        // Inflating is work before the gate; nothing that calls a model server compresses requests.
        .setDecompressionSupported(false)
        // No client of this API needs HTTP/2 without TLS, and it brings its own floods.
        .setHttp2ClearTextEnabled(false);
  }

  /** The port that was bound. */
  public int port() {
    return server.actualPort();
  }
}
