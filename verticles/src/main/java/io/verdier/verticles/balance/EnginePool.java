package io.verdier.verticles.balance;

import io.verdier.conf.ClusterConfig.Routing;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.bus.EngineAddresses;
import io.verdier.verticles.bus.SequenceKey;
import io.verdier.verticles.bus.Submit;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.IntToLongFunction;
import java.util.function.IntUnaryOperator;
import java.util.function.Supplier;

/**
 * The engines of this node, and which of them gets a request. Thread-safe: shared by all HTTP
 * instances and the cluster's gate. Each model has a lock of its own, which is taken once for a
 * prompt and once for the end of a sequence (docs/adr/0016).
 *
 * <p>Models come and go; an engine's number is never used twice, so that what still comes of a
 * model that has gone finds nobody else's.
 */
public final class EnginePool {
  private static final long[] NOTHING = {};

  private final IntUnaryOperator waiting;
  private final IntToLongFunction cacheTokens;
  private final List<Group> groups = new CopyOnWriteArrayList<>(); // by model
  private final ConcurrentMap<Integer, Group> byEngine = new ConcurrentHashMap<>();

  /** The engines of a model. Its lock guards their numbers. */
  private static final class Group {
    private final String model;
    private final EngineAddresses addresses;
    private final List<Engine> engines = new ArrayList<>();
    private final Balance balance = new Balance(Routing.PREFIX);

    Group(String model, EngineAddresses addresses) {
      this.model = model;
      this.addresses = addresses;
    }
  }

  /** Guarded by the group's lock. */
  private static final class Engine implements Candidate {
    private final int number;
    private final IntUnaryOperator waiting;
    private final Prefixes read = new Prefixes();
    private int live;

    Engine(int number, IntUnaryOperator waiting) {
      this.number = number;
      this.waiting = waiting;
    }

    @Override
    public int known(long[] prefixes) {
      return read.known(prefixes);
    }

    @Override
    public int load() {
      return live + waiting.applyAsInt(number);
    }
  }

  /**
   * Of no model yet.
   *
   * @param waiting sequences of an engine that have no blocks, by its number; from any thread
   * @param cacheTokens that an engine can keep, by its number; from any thread
   */
  public EnginePool(IntUnaryOperator waiting, IntToLongFunction cacheTokens) {
    this.waiting = waiting;
    this.cacheTokens = cacheTokens;
  }

  /** Of one model, whatever its name, and nobody says who waits or what is kept. */
  public static EnginePool of(EngineAddresses addresses) {
    EnginePool pool = new EnginePool(engine -> 0, engine -> Long.MAX_VALUE);
    pool.add("", addresses);
    return pool;
  }

  /**
   * A model has come.
   *
   * @param name the first of its names
   */
  public void add(String name, EngineAddresses addresses) {
    Group group = new Group(name, addresses);
    for (int i = 0; i < addresses.schedulers().size(); i++) {
      int number = addresses.firstEngine() + i;
      group.engines.add(new Engine(number, waiting));
      byEngine.put(number, group);
    }
    groups.add(group);
  }

  /** A model gets no more requests; what its engines have goes on. */
  public void retire(EngineAddresses addresses) {
    groups.removeIf(group -> group.addresses.equals(addresses));
  }

  /** Tokens that all engines together can keep. */
  public long cacheTokens() {
    long tokens = 0;
    for (int engine : byEngine.keySet()) {
      tokens += Math.min(cacheTokens.applyAsLong(engine), Integer.MAX_VALUE);
    }
    return tokens;
  }

  /** Sequences that a model's engines have. */
  public int live(EngineAddresses addresses) {
    Group group = byEngine.get(addresses.firstEngine());
    if (group == null) {
      return 0;
    }
    synchronized (group) {
      return group.engines.stream().mapToInt(engine -> engine.live).sum();
    }
  }

  /** Where all engines that get requests hear of what operators want. */
  public List<String> schedulers() {
    return groups.stream().flatMap(group -> group.addresses.schedulers().stream()).toList();
  }

  private Group ofEngine(int engine) {
    return Objects.requireNonNull(byEngine.get(engine), () -> "no engine " + engine);
  }

  /** Where an engine hears of cancellations. */
  public String scheduler(int engine) {
    EngineAddresses addresses = ofEngine(engine).addresses;
    return addresses.schedulers().get(engine - addresses.firstEngine());
  }

  /** Where the adapters of an engine's model are. */
  public String adaptersOf(int engine) {
    return ofEngine(engine).addresses.adapters();
  }

  /**
   * Where a model's engines are, and all that works for them.
   *
   * @throws RejectedException if it has gone
   */
  public EngineAddresses addresses(String model) {
    return group(model).addresses;
  }

  /** The tokenizer for a {@code Submit} with this as its first key. */
  public String tokenizer(long key) {
    List<String> tokenizers = ofEngine(SequenceKey.engine(key)).addresses.tokenizers();
    return tokenizers.get(SequenceKey.shard(key, tokenizers.size()));
  }

  /** What has just gone must not be answered by another model. */
  private Group group(String model) {
    for (Group group : groups) {
      if (group.model.equals(model) || group.model.isEmpty() || model.isEmpty()) {
        return group;
      }
    }
    throw new RejectedException(
        ErrorCode.UNAVAILABLE, "The model is not served at the moment. Try again soon.");
  }

  /**
   * Chooses an engine of the model that is asked for and counts the work there, until {@link
   * #onEnd} for each of the sequences.
   *
   * @param sequences continuations of the prompt
   * @return the engine's number
   * @throws RejectedException if the model has gone
   */
  public int choose(Submit submit, int sequences) {
    return choose(submit.model(), sequences, () -> Prefixes.of(submit));
  }

  /**
   * The same for a prompt whose prefixes somebody knows.
   *
   * @param known asked for where there is a choice
   */
  public int choose(String model, int sequences, Supplier<long[]> known) {
    Group group = group(model);
    long[] prefixes = group.engines.size() == 1 ? NOTHING : known.get();
    synchronized (group) {
      Engine chosen = group.balance.choose(group.engines, prefixes).orElseThrow();
      chosen.read.keep(cacheTokens.applyAsLong(chosen.number));
      chosen.read.add(prefixes);
      chosen.live += sequences;
      return chosen.number;
    }
  }

  /** A sequence of an engine has ended. */
  public void onEnd(int engine) {
    Group group = ofEngine(engine);
    synchronized (group) {
      group.engines.get(engine - group.addresses.firstEngine()).live--;
    }
  }
}
