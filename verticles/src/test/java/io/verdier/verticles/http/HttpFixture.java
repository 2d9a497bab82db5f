package io.verdier.verticles.http;

import io.verdier.cache.lora.AdapterSource;
import io.verdier.conf.AdapterSources;
import io.verdier.conf.AnswerDefaults;
import io.verdier.conf.ChatConfig;
import io.verdier.conf.ClusterConfig;
import io.verdier.conf.Limits;
import io.verdier.conf.LoggingConfig;
import io.verdier.conf.MeasureConfig;
import io.verdier.conf.PipelineConfig;
import io.verdier.conf.Pooler;
import io.verdier.conf.ServerConfig;
import io.verdier.conf.TracingConfig;
import io.verdier.engine.model.EmbeddingSpec;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.launch.FreePorts;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.respond.ResponsesVerticle;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/** The real ingress on a free port of the loopback, before a {@link FakeEngine}. */
final class HttpFixture implements AutoCloseable {
  /** What a test may change; the rest is as the server's defaults are. */
  static final class Options {
    List<String> apiKeys = List.of();
    List<String> adminKeys = List.of();
    boolean tellsLoad;
    List<String> origins = List.of("*");
    String rootPath = "";
    boolean requestIds;
    boolean promptDetails;
    boolean forceUsage;
    boolean trustTemplate;
    boolean storeResponses;
    boolean apiPages = true;
    ServerConfig.ApiDialect dialect = ServerConfig.ApiDialect.V1;
    ServerConfig.Policy policy = ServerConfig.Policy.FCFS;
    Optional<String> predictRoute = Optional.of("/aip/predict");
    Optional<String> healthRoute = Optional.of("/aip/health");
    Map<String, Double> generationDefaults = Map.of();
    Optional<EmbeddingSpec> embedding = Optional.empty();
    long bodyBytes = 1 << 20;
    long bodiesBytes = 1L << 30;
    int queued = 256;
    int streamInterval = 1;
    int overloadStatus = 503;
    int streamBuffer = 256 * 1024;
    Duration headerTimeout = Duration.ofSeconds(10);
    Duration bodyIdle = Duration.ofSeconds(30);
    Duration keepAlive = Duration.ofSeconds(60);
    Duration request = Duration.ofSeconds(60);
    int instances = 1;
    boolean ready = true;
    ServerConfig.Adapters adapters =
        new ServerConfig.Adapters(
            true,
            1,
            1,
            16,
            List.of(),
            false,
            new AdapterSources(List.of("gs://", "hf://"), 1 << 20, Duration.ofMinutes(1)));
    ServerConfig.Parsing parsing =
        new ServerConfig.Parsing(false, Optional.empty(), Optional.empty(), "", false);
    ServerConfig.StructuredOutput structuredOutput =
        new ServerConfig.StructuredOutput(false, false, false);
  }

  final Vertx vertx = Vertx.vertx();
  final Admission admission;
  final ServingMetrics metrics = new ServingMetrics("demo", 2048);
  final FakeEngine engine;
  final ServerConfig config;
  final ModelCard card;
  final int port;
  final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final Bus bus;

  private HttpFixture(Options options) throws IOException {
    bus = Bus.register(vertx);
    engine = new FakeEngine(vertx);
    port = FreePorts.one();
    config = config(options, port);
    admission = new Admission(options.queued, new BodyBudget(options.bodiesBytes));
    card =
        new ModelCard(
            List.of("demo", "demo-2"),
            List.of("alias"),
            "verdier/demo",
            100,
            2048,
            1_700_000_000L,
            options.generationDefaults,
            options.embedding,
            ModelCard.parsing(config),
            "",
            List.of(
                new AdapterCard(
                    "pirate",
                    "gs://b/pirate",
                    "demo",
                    new AdapterSource("/p", AdapterSource.Namer.OPERATOR, "hash-of-pirate"))));
    for (int i = 0; i < options.instances; i++) {
      deploy(i);
    }
    if (options.storeResponses) {
      var store = new ResponsesVerticle(config.limits());
      vertx.deployVerticle(store).toCompletionStage().toCompletableFuture().join();
    }
    if (options.ready) {
      announce(new ServerState.Ready(card));
    }
  }

  static HttpFixture start() throws IOException {
    return start(options -> {});
  }

  static HttpFixture start(Consumer<Options> change) throws IOException {
    Options options = new Options();
    change.accept(options);
    return new HttpFixture(options);
  }

  void deploy(int instance) {
    HttpVerticle.Setup setup =
        new HttpVerticle.Setup(
            config,
            admission,
            metrics,
            "1.2.3",
            EnginePool.of(EngineAddresses.own(1, FakeEngine.TOKENIZERS)));
    vertx
        .deployVerticle(new HttpVerticle(setup, instance), new DeploymentOptions())
        .toCompletionStage()
        .toCompletableFuture()
        .join();
  }

  /** Publishes a state and waits until an instance has taken it. */
  void announce(ServerState state) {
    bus.publish(Addresses.STATE, state);
    await(() -> admission.state().equals(state));
  }

  /** Waits for what other threads do; fails after five seconds. */
  static void await(BooleanSupplier condition) {
    long end = System.nanoTime() + 5_000_000_000L;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("the condition did not come true in 5 s");
      }
      Thread.onSpinWait();
    }
  }

  static ServerConfig config(Options options, int port) {
    return new ServerConfig(
        new ServerConfig.Model(
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            List.of("demo"),
            Optional.empty(),
            Optional.empty(),
            ServerConfig.DataType.AUTO,
            ServerConfig.LoadFormat.AUTO,
            OptionalInt.empty(),
            new ChatConfig(Optional.empty(), Optional.empty(), Map.of()),
            Optional.empty(),
            Map.of(),
            Optional.empty(),
            0,
            20),
        artifacts(),
        new ServerConfig.Cache(
            16,
            true,
            OptionalLong.empty(),
            OptionalInt.empty(),
            Path.of("."),
            ServerConfig.PackedWeights.OFF,
            ServerConfig.PrefixTiers.NONE),
        new ServerConfig.Scheduling(2048, 64, 0, options.policy, Optional.empty()),
        options.adapters,
        new ServerConfig.Backend(
            ServerConfig.BackendKind.CPU,
            OptionalInt.empty(),
            ServerConfig.CpuKernels.JAVA,
            ServerConfig.Quantization.NONE,
            ServerConfig.KvFormat.OWN,
            new ServerConfig.Gpu(0.92, false, List.of()),
            1,
            1,
            Duration.ZERO),
        http(options, port),
        options.parsing,
        new ServerConfig.Vertex(true, options.predictRoute, options.healthRoute, Optional.empty()),
        limits(options),
        new LoggingConfig(LoggingConfig.Level.INFO, LoggingConfig.Format.TEXT),
        options.structuredOutput,
        new Pooler(Pooler.Runner.AUTO, Optional.empty(), Optional.empty()),
        new TracingConfig(Optional.empty(), TracingConfig.Protocol.GRPC, Map.of(), "demo", false),
        new MeasureConfig(false, 0.01, false),
        cluster());
  }

  private static ClusterConfig cluster() {
    return new ClusterConfig(
        false,
        EnumSet.allOf(ClusterConfig.Role.class),
        "verdier",
        Optional.empty(),
        "127.0.0.1",
        Optional.empty(),
        5701,
        0,
        List.of(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        false,
        Duration.ofSeconds(4),
        Duration.ofSeconds(60),
        ClusterConfig.Routing.PREFIX,
        new ClusterConfig.CacheNodes(0, Duration.ofMillis(500)),
        1,
        PipelineConfig.NONE);
  }

  private static ServerConfig.Artifacts artifacts() {
    return new ServerConfig.Artifacts(
        Path.of("."),
        OptionalLong.empty(),
        1,
        List.of(),
        new ServerConfig.Hub(
            URI.create("https://hub.invalid"), Path.of("."), Optional.empty(), Path.of("."), true),
        new ServerConfig.Google(Optional.empty(), Optional.empty(), "metadata.invalid"));
  }

  private static ServerConfig.Http http(Options options, int port) {
    return new ServerConfig.Http(
        "127.0.0.1",
        port,
        options.apiKeys,
        options.adminKeys,
        options.rootPath,
        options.origins,
        "assistant",
        options.requestIds,
        options.forceUsage,
        options.promptDetails,
        new AnswerDefaults(false, options.streamInterval),
        options.trustTemplate,
        options.storeResponses,
        options.tellsLoad,
        options.apiPages,
        options.dialect,
        true);
  }

  static Limits limits(Options options) {
    return new Limits(
        16 * 1024,
        options.bodyBytes,
        128,
        200_000,
        2048,
        128,
        128,
        16,
        1024,
        1024,
        128,
        options.queued,
        options.overloadStatus,
        options.streamBuffer,
        options.headerTimeout,
        options.bodyIdle,
        options.keepAlive,
        options.request,
        Duration.ofSeconds(25),
        1_000_000,
        1 << 20,
        1000,
        1 << 20,
        Duration.ofHours(1));
  }

  HttpResponse<String> get(String path, String... headers) throws Exception {
    return send(request(path, headers).GET().build());
  }

  HttpResponse<String> post(String path, String body, String... headers) throws Exception {
    return send(
        request(path, headers)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build());
  }

  HttpRequest.Builder request(String path, String... headers) {
    HttpRequest.Builder builder =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path));
    return headers.length == 0 ? builder : builder.headers(headers);
  }

  HttpResponse<String> send(HttpRequest request) throws Exception {
    return client.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
  }

  /** A socket that times out instead of hanging. */
  Socket socket() throws IOException {
    Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
    socket.setSoTimeout(10_000);
    return socket;
  }

  /** Opens a connection and sends a request by hand. */
  Socket rawPost(String path, String body) throws IOException {
    Socket socket = socket();
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    String head =
        "POST "
            + path
            + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
            + bytes.length
            + "\r\n\r\n";
    socket.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
    socket.getOutputStream().write(bytes);
    socket.getOutputStream().flush();
    return socket;
  }

  @Override
  public void close() {
    client.close();
    vertx.close().toCompletionStage().toCompletableFuture().join();
  }
}
