package io.verdier.verticles.cache;

import io.verdier.cache.artifact.Artifact;
import io.verdier.cache.artifact.ArtifactException;
import io.verdier.cache.artifact.ArtifactStore;
import io.verdier.cache.lora.AdapterPolicy;
import io.verdier.cache.lora.AdapterSource;
import io.verdier.cache.lora.AdapterSource.Namer;
import io.verdier.cache.lora.AdapterStore;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.backend.LoraImage;
import io.verdier.engine.lora.AdapterSlots;
import io.verdier.engine.weights.ThreadPriority;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.AdapterNames;
import io.verdier.verticles.bus.AdapterQuery;
import io.verdier.verticles.bus.AdapterRelease;
import io.verdier.verticles.bus.Addresses;
import io.verdier.verticles.bus.Bus;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.LendAdapter;
import io.verdier.verticles.bus.LoadAdapter;
import io.verdier.verticles.bus.RecallAdapter;
import io.verdier.verticles.bus.Refused;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.bus.UnloadAdapter;
import io.verdier.verticles.observe.LoraMetrics;
import io.verdier.verticles.observe.ServingMetrics;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import io.vertx.core.WorkerExecutor;
import io.vertx.core.eventbus.Message;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.function.ToLongFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings adapters into host memory, for all engines of the model alike, and knows their names. A
 * worker verticle, whose thread owns what is here; others fetch, read and lay out. The executor
 * never waits for any of it.
 *
 * <p>Whom an adapter was granted to has it until the ingress says that the sequence has ended,
 * however it did.
 */
public final class AdapterVerticle extends VerticleBase {
  private static final Logger LOG = LoggerFactory.getLogger(AdapterVerticle.class);
  private static final int SHOWN_IDENTITY_CHARS = 12;
  private static final long READING_HOURS_MAX = 24; // Vert.x warns of what takes longer

  private final Setup setup;
  private final AdapterFiles files;
  private final ServedAdapters served = new ServedAdapters();
  private final AdapterStore<AdapterFiles.Open, Asker, Refused> store;
  private long ownKeys; // below zero, unlike those of sequences
  private Bus bus;
  private LoraMetrics metrics;
  private WorkerExecutor readers; // not the actor's thread: they give way, for good

  /**
   * What the actor is given.
   *
   * @param engines of the model
   * @param artifacts where adapters are fetched to
   * @param policy what clients may name
   * @param fetchTime in which an adapter's files must be there
   * @param slots of each of the engines; of the same shape, and with as many rooms
   * @param takenNames of the model itself
   * @param model its name, the parent of adapters that name no other
   */
  public record Setup(
      EngineAddresses engines,
      ArtifactStore artifacts,
      AdapterPolicy policy,
      Duration fetchTime,
      List<AdapterSlots> slots,
      ServingMetrics metrics,
      Set<String> takenNames,
      String model) {}

  /** Who waits for an adapter. */
  private interface Asker {
    void granted(String identity);

    void refused(Refused why);
  }

  /** Does what takes time on other threads, and comes back. */
  private final class Hands implements AdapterStore.Hands<AdapterFiles.Open, Asker, Refused> {
    @Override
    public void fetch(AdapterSource source, String version) {
      long start = System.nanoTime();
      beside(() -> files.fetch(source, version))
          .onSuccess(
              fetched -> {
                metrics.onFetched((System.nanoTime() - start) / 1e9);
                changed(() -> store.onFetched(source, fetched));
              })
          .onFailure(failed -> changed(() -> fetchFailed(source, failed)));
    }

    private void fetchFailed(AdapterSource source, Throwable failed) {
      Refused why = AdapterFiles.refused(source, failed);
      boolean isUnreachable = failed instanceof ArtifactException said && said.isUnreachable();
      if (!isUnreachable) {
        store.onFetchFailed(source, why);
      } else if (store.onUnreachable(source, why)) {
        LOG.warn("{} Until then what is in host memory is served.", why.text());
      }
    }

    @Override
    public void fill(String identity, AdapterFiles.Open adapter, int room) {
      long start = System.nanoTime();
      beside(
              () -> {
                long bytes = 0;
                for (AdapterSlots slots : setup.slots) {
                  LoraImage image = slots.room(room);
                  image.fill(adapter.adapter().factors());
                  bytes += image.bytes();
                }
                return bytes;
              })
          .onSuccess(
              bytes -> {
                metrics.onFilled((System.nanoTime() - start) / 1e9);
                changed(() -> store.onFilled(identity, bytes));
              })
          .onFailure(
              failed -> changed(() -> store.onFillFailed(identity, unusable(adapter, failed))));
    }

    private static Refused unusable(AdapterFiles.Open adapter, Throwable failed) {
      return AdapterFiles.refused(AdapterSource.ofClient(adapter.files().name()), failed);
    }

    @Override
    public void discard(AdapterFiles.Open adapter) {
      adapter.close();
    }

    @Override
    public void lend(String identity, int room) {
      for (int i = 0; i < setup.slots.size(); i++) {
        bus.send(executor(i), new LendAdapter(identity, room));
      }
    }

    @Override
    public void recall(String identity, int room) {
      List<Future<?>> returned = new ArrayList<>();
      for (int i = 0; i < setup.slots.size(); i++) {
        RecallAdapter recall = new RecallAdapter(identity);
        returned.add(bus.request(executor(i), recall, RecallAdapter.Reply.class));
      }
      Future.all(returned)
          .onSuccess(replies -> changed(() -> store.onReturned(room)))
          .onFailure(stopped -> LOG.debug("A room did not come back", stopped));
    }

    @Override
    public void grant(Asker who, String identity) {
      who.granted(identity);
    }

    @Override
    public void refuse(Asker who, Refused why) {
      who.refused(why);
    }
  }

  @SuppressWarnings("NullAway.Init") // these come with the deployment
  public AdapterVerticle(Setup setup) {
    this.setup = setup;
    this.files = new AdapterFiles(setup.artifacts, setup.policy, first().shape(), setup.fetchTime);
    this.store = new AdapterStore<>(first().roomCount(), new Hands(), System::nanoTime);
  }

  @Override
  public Future<?> start() {
    bus = new Bus(vertx);
    metrics =
        setup.metrics.loadAdapters(
            setup.engines.firstEngine(),
            files::diskBytes,
            sum(AdapterSlots::deviceBytes),
            sum(AdapterSlots::loads));
    readers =
        vertx.createSharedWorkerExecutor(
            "verdier-adapter-files-" + setup.engines.firstEngine(),
            AdapterStore.OPEN_MAX,
            READING_HOURS_MAX,
            TimeUnit.HOURS);
    return bus.consumeAny(setup.engines.adapters(), this::onMessage);
  }

  private String executor(int index) {
    return Addresses.executor(setup.engines.firstEngine() + index);
  }

  private AdapterSlots first() {
    return setup.slots.getFirst();
  }

  /** Of all engines. */
  private LongSupplier sum(ToLongFunction<AdapterSlots> value) {
    return () -> setup.slots.stream().mapToLong(value).sum();
  }

  private void onMessage(Message<Object> message) {
    switch (message.body()) {
      case AdapterQuery(long[] keys, AdapterSource source) ->
          changed(() -> store.want(asker(message), source, keys));
      case AdapterRelease(long[] keys) -> changed(() -> store.release(keys));
      case LoadAdapter load -> onLoad(message, load);
      case UnloadAdapter(String name) -> onUnload(message, name);
      default -> throw new IllegalStateException("unexpected " + message.body().getClass());
    }
  }

  private static Asker asker(Message<Object> message) {
    return new Asker() {
      @Override
      public void granted(String identity) {
        message.reply(new AdapterQuery.Reply(identity));
      }

      @Override
      public void refused(Refused why) {
        message.reply(why);
      }
    };
  }

  /** On a thread of its own, which takes what those leave it that compute. */
  private <T> Future<T> beside(Callable<T> work) {
    return readers.executeBlocking(
        () -> {
          ThreadPriority.giveWay();
          return work.call();
        },
        false);
  }

  /**
   * Changes the books. Where that throws they may be wrong from here on, and whoever waits would
   * for ever: all say so, as for the scheduler, and the process is restarted.
   */
  private void changed(Runnable change) {
    try {
      change.run();
      metrics.onChange(store.stats());
    } catch (Throwable bug) {
      bus.publish(Addresses.STATE, new ServerState.Failed("The store of adapters failed."));
      LOG.error("The store of adapters failed", bug);
    }
  }

  // Names

  private void onLoad(Message<Object> message, LoadAdapter load) {
    if (setup.takenNames.contains(load.name())) {
      message.reply(refused("The name '" + load.name() + "' is the model's own."));
      return;
    }
    if (!served.begin(load.name(), load.isReplacing())) {
      message.reply(
          refused("The lora adapter '" + load.name() + "' has already been loaded, or is being."));
      return;
    }
    beside(() -> files.open(load.place()))
        .onSuccess(artifact -> read(message, load, artifact))
        .onFailure(failed -> refuse(message, load, unavailable(failed)));
  }

  private static Refused refused(String text) {
    return new Refused(ErrorCode.INVALID_ARGUMENT, text, "lora_name");
  }

  /** As vLLM, which does not find what it is told to load. */
  private static Refused unavailable(Throwable failed) {
    Refused why = AdapterFiles.refused(new AdapterSource("", Namer.OPERATOR, ""), failed);
    return failed instanceof ArtifactException && why.code() == ErrorCode.INVALID_ARGUMENT
        ? new Refused(ErrorCode.NOT_FOUND, why.text(), "lora_path")
        : why;
  }

  /** Into host memory, so that the first request need not wait, and to see that it can be. */
  private void read(Message<Object> message, LoadAdapter load, Artifact artifact) {
    String directory = artifact.directory().toString();
    long key = --ownKeys;
    Asker asker =
        new Asker() {
          @Override
          public void granted(String identity) {
            AdapterSource source = new AdapterSource(directory, Namer.OPERATOR, identity);
            String shown = AdapterSource.ofClient(load.place()).shown();
            AdapterCard card =
                new AdapterCard(load.name(), shown, load.parent().orElse(setup.model), source);
            served.end(card, artifact);
            setup.metrics.nameAdapter(identity, load.name());
            LOG.info(
                "Adapter {}: {} from {}",
                load.name(),
                identity.substring(0, SHOWN_IDENTITY_CHARS),
                shown);
            publish();
            message.reply(card);
            vertx.runOnContext(ignored -> changed(() -> store.release(key)));
          }

          @Override
          public void refused(Refused why) {
            artifact.close();
            refuse(message, load, why);
          }
        };
    changed(() -> store.want(asker, new AdapterSource(directory, Namer.OPERATOR, ""), key));
  }

  private void refuse(Message<Object> message, LoadAdapter load, Refused why) {
    served.cancel(load.name());
    message.reply(why);
  }

  private void onUnload(Message<Object> message, String name) {
    if (!served.remove(name)) {
      message.reply(
          new Refused(
              ErrorCode.NOT_FOUND,
              "The lora adapter '" + name + "' cannot be found.",
              "lora_name"));
      return;
    }
    LOG.info("Adapter {}: no longer served", name);
    publish();
    message.reply(new UnloadAdapter.Reply());
  }

  /** Every event loop hears of it before whoever asked does. */
  private void publish() {
    bus.publish(Addresses.ADAPTER_NAMES, new AdapterNames(setup.model, served.cards()));
  }

  @Override
  public Future<?> stop() {
    served.close();
    return readers.close();
  }
}
