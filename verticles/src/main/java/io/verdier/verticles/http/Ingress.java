package io.verdier.verticles.http;

import io.verdier.cache.lora.AdapterPolicy;
import io.verdier.conf.Limits;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.Abort;
import io.verdier.verticles.bus.AdapterNames;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.DetokenizeQuery;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.Prompt;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.TokenizeQuery;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.vertx.core.Context;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Owned by one event loop: what the requests of one HTTP instance share, and what the instance
 * knows of the server's state.
 *
 * <p>Where several models are served there is a view for each, which requests get that name it:
 * {@link #serving} and what is asked of a tokenizer are then that model's, and all else is shared.
 */
public final class Ingress {
  private final HttpVerticle.Setup setup;
  private final int instance;
  private final Vertx vertx;
  private final Context context;
  private final Bus bus;
  private final ErrorMapper errors;
  private final JsonBody json;
  private final Sequences sequences;
  private final Set<Requester> live;
  private final JsonWriter writer;
  private final StreamFlusher flusher;
  private final SecureRandom random;

  private final AdapterPolicy adapterPolicy;
  private final Ingress root; // itself, but for a view
  private final @Nullable Serving viewed; // null: the root's first

  private int queries;
  private ServerState state = new ServerState.Loading();
  private List<Serving> servings = List.of(Serving.NOTHING); // never empty

  Ingress(HttpVerticle.Setup setup, int instance, Vertx vertx, Context context) {
    this.setup = setup;
    this.instance = instance;
    this.vertx = vertx;
    this.context = context;
    this.bus = new Bus(vertx);
    this.errors = new ErrorMapper(limits().overloadStatus());
    this.json = new JsonBody(limits());
    this.adapterPolicy = new AdapterPolicy(config().adapters().sources().allowed());
    this.sequences = new Sequences(bus, instance, setup.engines());
    this.flusher = new StreamFlusher(context);
    this.live = new HashSet<>();
    this.writer = new JsonWriter();
    this.random = new SecureRandom();
    this.root = this;
    this.viewed = null;
  }

  private Ingress(Ingress root, Serving viewed) {
    this.setup = root.setup;
    this.instance = root.instance;
    this.vertx = root.vertx;
    this.context = root.context;
    this.bus = root.bus;
    this.errors = root.errors;
    this.json = root.json;
    this.sequences = root.sequences;
    this.flusher = root.flusher;
    this.adapterPolicy = root.adapterPolicy;
    this.live = root.live;
    this.writer = root.writer;
    this.random = root.random;
    this.root = root;
    this.viewed = viewed;
  }

  /**
   * The view of the model that a request names; of the first one, if it names none or one that is
   * not served, which is then refused by {@link Serving#checkName}.
   */
  public Ingress of(@Nullable Object name) {
    if (root.servings.size() == 1 || !(name instanceof String text)) {
      return this;
    }
    return servings().stream()
        .filter(serving -> serving.names().contains(text))
        .findFirst()
        .map(serving -> new Ingress(root, serving))
        .orElse(this);
  }

  /** Where requests may name adapters. */
  public AdapterPolicy adapterPolicy() {
    return adapterPolicy;
  }

  public ServerConfig config() {
    return setup.config();
  }

  public Limits limits() {
    return setup.config().limits();
  }

  /** How errors are told where the route has no dialect of its own. */
  Problem.Dialect dialect() {
    boolean flat = config().http().dialect() == ServerConfig.ApiDialect.V0_9;
    return flat ? Problem.Dialect.FLAT : Problem.Dialect.OPENAI;
  }

  public String version() {
    return setup.version();
  }

  public ServingMetrics metrics() {
    return setup.metrics();
  }

  /** Null where requests are not traced. */
  @Nullable RequestTracer tracer() {
    return setup.tracer();
  }

  public Admission admission() {
    return setup.admission();
  }

  public int instance() {
    return instance;
  }

  public Vertx vertx() {
    return vertx;
  }

  public Context context() {
    return context;
  }

  public Bus bus() {
    return bus;
  }

  public ErrorMapper errors() {
    return errors;
  }

  public JsonBody json() {
    return json;
  }

  /**
   * Token ids of a prompt.
   *
   * @param strings whether their texts are wanted, too
   */
  public Future<TokenizeQuery.Reply> tokenized(Prompt prompt, boolean strings) {
    return bus.request(
        anyTokenizer(),
        new TokenizeQuery(serving().card().name(), prompt, strings),
        TokenizeQuery.Reply.class);
  }

  /** The text of token ids, special ones included. */
  public Future<String> detokenized(int[] ids) {
    return bus.request(
            anyTokenizer(),
            new DetokenizeQuery(serving().card().name(), ids),
            DetokenizeQuery.Reply.class)
        .map(DetokenizeQuery.Reply::text);
  }

  /** Where the model's engines are, and what works for them. */
  public EngineAddresses addresses() {
    return setup.engines().addresses(serving().card().name());
  }

  /** Where this node's own engines hear of what operators want. */
  public List<String> ownSchedulers() {
    return setup.ownEngines().schedulers();
  }

  /** Whose turn it is. */
  private String anyTokenizer() {
    List<String> tokenizers = addresses().tokenizers();
    root.queries = (root.queries + 1) & Integer.MAX_VALUE;
    return tokenizers.get(root.queries % tokenizers.size());
  }

  Sequences sequences() {
    return sequences;
  }

  StreamFlusher flusher() {
    return flusher;
  }

  /** Admitted requests whose answer has not left, and work in the background. */
  Set<Requester> live() {
    return live;
  }

  /** A writer for one answer at a time, never kept across a turn of the event loop. */
  public JsonWriter writer() {
    return writer;
  }

  /** A seed for a request that gave none. */
  public long randomSeed() {
    return random.nextLong();
  }

  /** The model that the request is for. */
  public Serving serving() {
    return viewed == null ? servings().getFirst() : viewed;
  }

  /** All models that are served; requests that name none mean the first. */
  public List<Serving> servings() {
    return root.servings;
  }

  /** An answer has so many bytes. */
  void noteSize(double bytes) {
    setup.largeAnswers().note(bytes);
  }

  /** Whether the health routes say 200. */
  public boolean isHealthy() {
    return root.state instanceof ServerState.Ready;
  }

  /** Why they do not, where this node alone is to blame; else empty. */
  public String trouble() {
    return root.state instanceof ServerState.Adrift adrift ? adrift.reason() : "";
  }

  /** Whether connections are asked to close, so that clients find another replica. */
  boolean isLeaving() {
    return root.state instanceof ServerState.Draining || root.state instanceof ServerState.Stopping;
  }

  /**
   * @throws RejectedException if work cannot be taken now
   */
  public void checkReady() {
    String text =
        switch (root.state) {
          case ServerState.Ready ignored -> "";
          case ServerState.Loading ignored -> "The model is loading. Try again soon.";
          case ServerState.Adrift adrift -> adrift.reason();
          case ServerState.Draining ignored -> "The server is shutting down.";
          case ServerState.Stopping ignored -> "The server is shutting down.";
          case ServerState.Failed ignored -> "The engine has failed.";
        };
    if (!text.isEmpty()) {
      throw new RejectedException(ErrorCode.UNAVAILABLE, text);
    }
  }

  /**
   * @throws RejectedException if the server is about to end
   */
  public void checkStays() {
    if (isLeaving()) {
      throw new RejectedException(ErrorCode.UNAVAILABLE, "The server is shutting down.");
    }
  }

  void onState(ServerState announced) {
    admission().onState(announced);
    ServerState latest = admission().state();
    // Between these two it goes back and forth, in the order in which this instance hears of it.
    ServerState now = isServing(latest) && isServing(announced) ? announced : latest;
    if (now.equals(state)) {
      return;
    }
    state = now;
    switch (now) {
      case ServerState.Ready ready ->
          servings = ready.cards().stream().map(card -> new Serving(card, config())).toList();
      case ServerState.Stopping ignored ->
          endAll("The server is shutting down before the answer was complete.");
      case ServerState.Failed ignored -> endAll("The engine has failed.");
      case ServerState.Loading ignored -> {}
      case ServerState.Adrift ignored -> {}
      case ServerState.Draining ignored -> {}
    }
  }

  void onAdapterNames(AdapterNames names) {
    if (state instanceof ServerState.Ready || isLeaving()) { // before, the card has them
      servings =
          servings.stream()
              .map(
                  serving ->
                      serving.card().name().equals(names.model())
                          ? serving.withAdapters(names.cards())
                          : serving)
              .toList();
    }
  }

  private static boolean isServing(ServerState state) {
    return state instanceof ServerState.Ready || state instanceof ServerState.Adrift;
  }

  void onAbort(Abort abort) {
    for (Requester requester : List.copyOf(live)) {
      if (abort.all() || requester.isOneOf(abort.ids())) {
        requester.abort();
      }
    }
  }

  private void endAll(String why) {
    List<Requester> ending = new ArrayList<>(live);
    for (Requester requester : ending) {
      requester.fail(errors.of(ErrorCode.UNAVAILABLE, why, null));
    }
  }
}
