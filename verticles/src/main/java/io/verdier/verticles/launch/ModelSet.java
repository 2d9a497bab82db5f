package io.verdier.verticles.launch;

import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.conf.Environment;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ModelsFile;
import io.verdier.conf.ServerConfig;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.model.ModelException;
import io.verdier.verticles.balance.EnginePool;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.Control;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.UpdateModels;
import io.verdier.verticles.observe.ServingMetrics;
import io.verdier.verticles.observe.trace.RequestTracer;
import io.verdier.verticles.token.DetokenizerVerticle;
import io.vertx.core.Future;
import io.vertx.core.Promise;
import io.vertx.core.Vertx;
import io.vertx.core.eventbus.Message;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.ToIntFunction;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The models of a node: those of its command line, and whatever {@code POST /update_models} makes
 * of them. Owned by the Vert.x context that {@link #start} is called on, one change at a time.
 *
 * <p>A model that goes gets no more requests, is given the drain deadline for those that it has,
 * and frees its memory before others are loaded; one that stays notices nothing. Where a new one
 * cannot be loaded, those that are there go on, and whoever asked is told.
 */
final class ModelSet {
  private static final Logger LOG = LoggerFactory.getLogger(ModelSet.class);
  private static final int FILE_BYTES_MAX = 1 << 20;
  private static final long POLL_MILLIS = 20;

  /** Bound of the token histograms where no --max-model-len says better. */
  private static final int METRIC_TOKENS_MAX = 131_072;

  private final Vertx vertx;
  private final Bus bus;
  private final Setup setup;
  private final List<Live> live = new ArrayList<>(); // as they came
  private int numbers; // of models so far
  private boolean isChanging = true; // until the first ones are there

  /**
   * What all models' actors are given.
   *
   * @param config of the node
   * @param listeners HTTP instances that wait for text, the cluster's gate among them
   * @param streams gets the detokenizers
   * @param engines gets the models that are there
   * @param tracer null: requests are not traced
   */
  record Setup(
      ServerConfig config,
      int listeners,
      List<DetokenizerVerticle> streams,
      EnginePool engines,
      ServingMetrics metrics,
      @Nullable RequestTracer tracer) {}

  /** A model that is there. */
  private record Live(
      ServerConfig config, EngineAddresses addresses, ModelActors actors, ModelCard card) {

    /** Whether a configuration asks for nothing else of the model. */
    boolean isSame(ServerConfig other) {
      return config.model().equals(other.model())
          && config.artifacts().equals(other.artifacts())
          && config.cache().equals(other.cache())
          && config.scheduling().equals(other.scheduling())
          && config.adapters().equals(other.adapters())
          && config.backend().equals(other.backend())
          && config.parsing().equals(other.parsing())
          && config.pooler().equals(other.pooler());
    }
  }

  ModelSet(Vertx vertx, Setup setup) {
    this.vertx = vertx;
    this.bus = new Bus(vertx);
    this.setup = setup;
  }

  /** How the metrics count a model's engines. */
  static ServingMetrics.Model counted(ServerConfig model) {
    return new ServingMetrics.Model(
        ModelParts.name(model),
        model.model().maxModelLen().orElse(METRIC_TOKENS_MAX),
        model.backend().engines());
  }

  /**
   * Loads the models of the command line, and listens for changes from then on.
   *
   * @param models whose engines the metrics have already, in this order
   * @return their cards
   */
  Future<List<ModelCard>> start(List<ServerConfig> models, UnaryOperator<ModelParts> replace) {
    int[] next = {0};
    ToIntFunction<ServerConfig> first =
        model -> {
          int number = next[0];
          next[0] += model.backend().engines();
          return number;
        };
    return bus.consumeAny(Addresses.MODELS, this::onMessage)
        .compose(ignored -> load(models, first, replace))
        .map(
            ignored -> {
              isChanging = false;
              return cards();
            });
  }

  private List<ModelCard> cards() {
    return live.stream().map(Live::card).toList();
  }

  /**
   * One after the other: each plans with the memory that those before it have left.
   *
   * @param firstEngine gives the number of a model's first engine
   */
  private Future<Void> load(
      List<ServerConfig> models,
      ToIntFunction<ServerConfig> firstEngine,
      UnaryOperator<ModelParts> replace) {
    List<ServerConfig> all =
        Stream.concat(live.stream().map(Live::config), models.stream()).toList();
    Future<Void> loaded = Future.succeededFuture();
    for (ServerConfig model : models) {
      ServerConfig sharing = model.withPrefixSharers(prefixSharers(model, all));
      loaded =
          loaded.compose(ignored -> load(model, sharing, firstEngine.applyAsInt(model), replace));
    }
    return loaded;
  }

  /** Models that keep prefixes in the same directory. */
  private static int prefixSharers(ServerConfig model, List<ServerConfig> all) {
    Optional<Path> directory = model.cache().tiers().directory();
    return (int)
        all.stream().filter(it -> it.cache().tiers().directory().equals(directory)).count();
  }

  /**
   * @param model as it was asked for
   * @param sharing the same as it is to be loaded beside the others
   */
  private Future<Void> load(
      ServerConfig model, ServerConfig sharing, int first, UnaryOperator<ModelParts> replace) {
    int engines = model.backend().engines();
    EngineAddresses addresses =
        EngineAddresses.own(numbers, first, engines, ModelActors.tokenizers());
    ModelActors.Setup its =
        new ModelActors.Setup(
            sharing,
            numbers++,
            addresses,
            setup.listeners,
            setup.streams,
            setup.metrics,
            setup.tracer);
    ModelActors actors = new ModelActors(vertx, its);
    return actors
        .deploy(replace)
        .onSuccess(
            card -> {
              setup.engines.add(card.name(), addresses);
              live.add(new Live(model, addresses, actors, card));
            })
        .<Void>mapEmpty()
        .recover(
            failed ->
                takeAway(addresses, actors)
                    .transform(ignored -> Future.<Void>failedFuture(failed)));
  }

  private Future<Void> takeAway(EngineAddresses addresses, ModelActors actors) {
    int first = addresses.firstEngine();
    IntStream.range(first, first + addresses.schedulers().size()).forEach(setup.metrics::retire);
    return actors.undeploy();
  }

  private void onMessage(Message<Object> message) {
    if (!(message.body() instanceof UpdateModels(String place))) {
      throw new IllegalStateException("unexpected " + message.body().getClass());
    }
    if (isChanging) {
      message.reply(
          new Refused(ErrorCode.UNAVAILABLE, "The models are being changed already.", null));
      return;
    }
    isChanging = true;
    vertx
        .executeBlocking(() -> wanted(place), false)
        .compose(this::update)
        .onComplete(
            done -> {
              isChanging = false;
              message.reply(done.succeeded() ? done.result() : refused(done.cause()));
            });
  }

  private static Refused refused(Throwable failed) {
    String reason = ModelParts.reason(failed);
    LOG.warn("The models could not be changed as asked: {}", reason);
    return new Refused(ErrorCode.INVALID_ARGUMENT, reason, "model_config_path");
  }

  /** Blocks until the file is there. */
  private List<ServerConfig> wanted(String place) {
    ArtifactStore artifacts =
        new ArtifactStore(setup.config, ModelSet.class.getClassLoader(), DownloadDisplay.choose());
    String text = artifacts.text(place, FILE_BYTES_MAX);
    return switch (ModelsFile.read(text, Environment.ofProcess())) {
      case LoadResult.Loaded loaded -> loaded.models();
      case LoadResult.Invalid invalid -> throw new ModelException(invalid.text());
      case LoadResult.HelpAsked help -> throw new ModelException("the file asks for help");
    };
  }

  private Future<UpdateModels.Done> update(List<ServerConfig> wanted) {
    List<Live> going = live.stream().filter(it -> wanted.stream().noneMatch(it::isSame)).toList();
    List<ServerConfig> coming =
        wanted.stream().filter(it -> live.stream().noneMatch(at -> at.isSame(it))).toList();
    live.removeAll(going);
    List<String> kept = names(live);
    LOG.info("Changing the models: {} stay, {} go, {} come", kept, names(going), coming.size());
    announce();
    Future<Void> gone = Future.succeededFuture();
    for (Live model : going) {
      gone = gone.compose(ignored -> leave(model));
    }
    return gone.compose(
            ignored -> load(coming, it -> setup.metrics.add(counted(it)), UnaryOperator.identity()))
        .onComplete(ignored -> announce())
        .map(
            ignored ->
                new UpdateModels.Done(
                    coming.stream().map(ModelParts::name).toList(), kept, names(going)));
  }

  private static List<String> names(List<Live> models) {
    return models.stream().map(model -> model.card.name()).toList();
  }

  /** Tells HTTP which models there are. */
  private void announce() {
    bus.publish(
        Addresses.STATE,
        live.isEmpty()
            ? new ServerState.Adrift("The models are being changed. Try again soon.")
            : new ServerState.Ready(cards()));
  }

  /** Lets a model's requests come to their ends, until the deadline, and takes it away. */
  private Future<Void> leave(Live model) {
    setup.engines.retire(model.addresses);
    return idle(model, setup.config.limits().drainTimeout().toMillis())
        .compose(
            isIdle ->
                isIdle ? Future.succeededFuture() : cut(model).compose(it -> idle(model, 1000)))
        .compose(ignored -> takeAway(model.addresses, model.actors));
  }

  private Future<Void> cut(Live model) {
    LOG.warn("{}: its drain deadline passed; what it has is cut", model.card.name());
    List<Future<?>> cut = new ArrayList<>();
    for (String scheduler : model.addresses.schedulers()) {
      Control abort = new Control.Pause(Control.Mode.ABORT, false);
      cut.add(bus.request(scheduler, abort, Control.State.class));
    }
    return Future.join(cut).mapEmpty();
  }

  /** Whether a model has nothing to do any more, before the time is over. */
  private Future<Boolean> idle(Live model, long withinMillis) {
    Promise<Boolean> promise = Promise.promise();
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(withinMillis);
    vertx.setPeriodic(
        0,
        POLL_MILLIS,
        timer -> {
          boolean isIdle = setup.engines.live(model.addresses) == 0;
          if ((isIdle || System.nanoTime() - deadline > 0) && vertx.cancelTimer(timer)) {
            promise.tryComplete(isIdle);
          }
        });
    return promise.future();
  }
}
