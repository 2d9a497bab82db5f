package io.verdier.verticles.cluster;

import io.verdier.conf.ServerConfig;
import io.verdier.engine.schedule.StepOutput;
import io.verdier.verticles.bus.AdapterCard;
import io.verdier.verticles.bus.CacheRoom;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.bus.ServerState;
import io.verdier.verticles.cluster.Announcement.Load;
import io.verdier.verticles.cluster.Announcement.Phase;
import io.verdier.verticles.cluster.Announcement.Tally;
import io.verdier.verticles.observe.EngineMetrics;
import io.verdier.verticles.observe.EngineMetrics.Halt;
import io.verdier.verticles.observe.ServingMetrics;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * How it stands with this node: what it tells the others of itself, and what its HTTP server is
 * told of the cluster. Owned by the cluster's event loop.
 */
final class Standing {
  private final ServerConfig config;
  private final ServingMetrics metrics;
  private final ClusterVerticle.Setup setup;
  private Optional<ModelCard> card = Optional.empty();
  private CacheRoom room = CacheRoom.NONE;
  private Optional<Phase> last = Optional.empty(); // once the process is about to end
  private boolean isDrainWanted;
  private long drainedMillis;
  private boolean isFenced;

  Standing(ServerConfig config, ServingMetrics metrics, ClusterVerticle.Setup setup) {
    this.config = config;
    this.metrics = metrics;
    this.setup = setup;
  }

  /** Its engine can generate. */
  void onEngine(ModelCard served) {
    card = Optional.of(served);
  }

  /** It keeps blocks for engines of others. */
  void onRoom(CacheRoom kept) {
    room = kept;
  }

  /** Its engine has other adapters. */
  void onAdapters(List<AdapterCard> adapters) {
    card = card.map(served -> served.withAdapters(adapters));
  }

  boolean hasEngine() {
    return card.isPresent();
  }

  /** Whether its engine has this model. */
  boolean has(String model) {
    return card.isPresent() && card.get().name().equals(model);
  }

  /** The process ends; there is no way back. */
  void end(Phase phase) {
    last = Optional.of(phase);
  }

  boolean isEnding() {
    return last.isPresent();
  }

  void fence(boolean fenced) {
    isFenced = fenced;
  }

  void drain(boolean wanted) {
    isDrainWanted = wanted;
    drainedMillis = 0;
  }

  void tick(long millis) {
    drainedMillis += isDrainWanted ? millis : 0;
  }

  Phase phase() {
    if (last.isPresent()) {
      return last.get();
    }
    if (isDrainWanted) {
      boolean isLate = drainedMillis >= config.limits().drainTimeout().toMillis();
      return isLate ? Phase.LEAVING : Phase.DRAINING;
    }
    boolean lacksEngine = config.cluster().generates() && card.isEmpty();
    if (lacksEngine || lacksRoom()) {
      return Phase.LOADING;
    }
    return isPaused() ? Phase.PAUSED : Phase.SERVING;
  }

  private boolean isPaused() {
    return hasEngine() && metrics.engines().stream().allMatch(engine -> engine.halt() != Halt.NONE);
  }

  private boolean lacksRoom() {
    return config.cluster().keepsBlocks() && room.port() == 0;
  }

  /** Whether its engine takes new work. */
  boolean accepts() {
    return phase().takesWork() && hasEngine();
  }

  /**
   * What it says of itself.
   *
   * @param busAddress where others find it
   * @param streams of its own clients
   */
  Announcement announcement(String busAddress, EngineGate gate, int streams) {
    return new Announcement(
        config.cluster().nodeName().orElse(setup.httpAddress()),
        busAddress,
        setup.httpAddress(),
        setup.version(),
        config.cluster().roles(),
        phase(),
        card,
        load(gate, streams),
        tally(gate),
        PrefixSummary.of(gate.prefixes().all()),
        room);
  }

  private Load load(EngineGate gate, int streams) {
    if (card.isEmpty()) {
      return new Load(streams, 0, 0, 0, 0, 0, 0);
    }
    int running = 0;
    int waiting = 0;
    int blocksUsed = 0;
    int blocksTotal = 0;
    long stepMillis = 0;
    for (EngineMetrics engine : metrics.engines()) {
      StepOutput.Stats stats = engine.latest();
      running += stats.running();
      waiting += stats.waiting();
      blocksUsed += stats.blocksUsed();
      blocksTotal += stats.blocksTotal();
      stepMillis = Math.max(stepMillis, stepMillis(engine));
    }
    return new Load(
        streams, gate.liveCount(), running, waiting, blocksUsed, blocksTotal, stepMillis);
  }

  /** A halted engine is not hung, whatever stands in it. */
  private static long stepMillis(EngineMetrics engine) {
    boolean isWorking = engine.latest().running() > 0 && engine.halt() != Halt.WHOLE;
    long since = System.nanoTime() - engine.lastStepNanos();
    return isWorking ? TimeUnit.NANOSECONDS.toMillis(since) : 0;
  }

  private Tally tally(EngineGate gate) {
    if (card.isEmpty()) {
      return Tally.NONE;
    }
    long steps = 0;
    long queried = 0;
    long hits = 0;
    for (EngineMetrics engine : metrics.engines()) {
      steps += engine.steps();
      queried += engine.latest().prefixQueriedTokens();
      hits += engine.latest().prefixHitTokens();
    }
    int prefixes = gate.prefixes().all().size();
    return new Tally(steps, prefixes, queried, hits, gate.movedIn(), gate.movedOut());
  }

  /** Why the others do not use this node's engine, if that is so. */
  private static Optional<String> refusal(ClusterView view, String self) {
    ClusterView.Node own = view.node(self);
    return Optional.ofNullable(own).flatMap(node -> Refusals.of(view, node));
  }

  /**
   * What HTTP is to know: whether there is somebody to work for it.
   *
   * @param self the node's own id
   * @param before what it knows
   */
  ServerState state(ClusterView view, String self, ServerState before) {
    if (isFenced) {
      return new ServerState.Adrift("This node has lost its cluster and joins it again.");
    }
    if (isDrainWanted) {
      return new ServerState.Adrift("This node is drained.");
    }
    List<ModelCard> served = config.cluster().serves() ? view.cards() : card.stream().toList();
    boolean keepsOnly = config.cluster().keepsBlocks() && !config.cluster().serves();
    boolean isFound = keepsOnly ? !lacksRoom() : !served.isEmpty();
    if (before instanceof ServerState.Loading && !isFound) {
      return before;
    }
    if (view.heardCount() < config.cluster().nodesMin()) {
      return new ServerState.Adrift("This node sees too few others of its cluster.");
    }
    Optional<String> refusal = refusal(view, self);
    if (refusal.isPresent()) {
      return new ServerState.Adrift(refusal.get());
    }
    return isFound
        ? new ServerState.Ready(served)
        : new ServerState.Adrift("No engine can be reached. Try again soon.");
  }
}
