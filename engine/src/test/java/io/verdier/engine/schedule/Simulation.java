package io.verdier.engine.schedule;

import io.verdier.cache.host.DiskBooks;
import io.verdier.cache.host.DiskDone;
import io.verdier.cache.host.PrefixTiers;
import io.verdier.cache.host.RemoteBooks;
import io.verdier.cache.host.RemoteDone;
import io.verdier.cache.host.TierSlots;
import io.verdier.cache.kv.BlockTable;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.schedule.History.Arrival;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.schedule.StepOutput.Stats;
import io.verdier.engine.schedule.StepPlan.Slice;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Plays one history against a scheduler and checks every property at every step. Owned by the test
 * thread.
 *
 * <p>P1 blocks add up · P2 holders match tables · P3 budget and caps kept · P4 exactly one end · P5
 * drains · P6 order · P7 tokens independent of all else · P8 determinism (by {@link #digest}) · P9
 * cancelled blocks come back · P10 no starvation · P11 no stale or foreign block (by {@link
 * FakeRunner}) · P12 failures stay where they are · P13 blocks that a plan under way writes get no
 * other owner · P14 slots are pinned only while somebody copies.
 */
final class Simulation {
  private final History history;
  private final SchedulerSettings settings;
  private final SplittableRandom random;
  private final KvCacheManager kv;
  private final @Nullable PrefixTiers tiers;
  private final Scheduler scheduler;
  private final FakeRunner runner;
  private final Map<Long, Stream> streams = new TreeMap<>();
  private final List<Arrival> due;
  private final Set<EngineRequest> duplicates = new HashSet<>();
  private final Deque<Pending> underWay = new ArrayDeque<>(); // oldest first
  private long nextKey = 1000;
  private long arrivalCount;
  private Set<Long> held = Set.of(); // who had blocks before the last call
  private int calls;
  private long digest;

  /** A plan that was run and whose outcome the scheduler does not know. */
  private record Pending(StepOutcome outcome, Set<Integer> written) {}

  private Stats stats = new Stats(0, 0, 0, 0, 0, 0, 0, 0, 0);

  Simulation(History history) {
    this.history = history;
    this.settings = history.settings();
    this.random = new SplittableRandom(~history.seed());
    this.kv = new KvCacheManager(history.blockCount(), history.blockTokens());
    this.tiers = tiers(history.tiers(), kv);
    this.scheduler = new Scheduler(settings, kv, tiers);
    this.runner = new FakeRunner(history, key -> stream(key).request.cacheSalt());
    this.due = new ArrayList<>(history.arrivals());
  }

  private static @Nullable PrefixTiers tiers(History.Tiers sizes, KvCacheManager kv) {
    if (sizes.hostSlots() == 0) {
      return null;
    }
    return new PrefixTiers(
        kv,
        new TierSlots(sizes.hostSlots()),
        sizes.diskSlots() == 0
            ? null
            : new DiskBooks(new TierSlots(sizes.diskSlots()), sizes.writesMax()),
        sizes.remote() ? new RemoteBooks(sizes.writesMax()) : null,
        new PrefixTiers.Settings(sizes.minTokens(), sizes.copiesMax()));
  }

  /** All that was planned and emitted, in one number. */
  long digest() {
    return digest;
  }

  int calls() {
    return calls;
  }

  Stats stats() {
    return stats;
  }

  Map<Long, Stream> streams() {
    return streams;
  }

  Simulation run() {
    long bound = 200;
    for (Arrival arrival : due) {
      EngineRequest request = arrival.request();
      bound += 12L * (request.tokens().length + request.sampling().maxTokens() + arrival.time());
    }
    bound *= history.arrivals().size() + 1L; // priorities may displace each other
    while (!due.isEmpty() || !underWay.isEmpty() || live().findAny().isPresent()) {
      check(calls < bound, "P5 drains", "after %d calls something is still live", calls);
      tick();
    }
    do { // what is to be saved may be saved when nobody is there any more
      check(calls < 2 * bound, "P5 drains", "there is always something to copy");
      tick();
    } while (!runner.tiers().isIdle() || !underWay.isEmpty());
    StepOutput last = scheduler.step(new StepInput(List.of(), List.of(), null));
    check(last.plan().isEmpty(), "P5 drains", "there is a plan for nobody");
    runner.run(last.plan(), Set.of());
    check(tiers == null || tiers.hostPins() == 0, "P14 pins", "slots are pinned by nobody");
    check(kv.usedCount() == 0, "P5 drains", "%s blocks are held by nobody", kv.usedCount());
    check(runner.knownKeys().isEmpty(), "P5 drains", "executor keeps %s", runner.knownKeys());
    return this;
  }

  private void tick() {
    calls++;
    boolean isFull = underWay.size() == settings.plansMax();
    boolean late = !underWay.isEmpty() && random.nextInt(100) < history.latePercent();
    List<Cancellation> cancellations = new ArrayList<>();
    List<EngineRequest> arrivals = new ArrayList<>();
    draw(cancellations, arrivals, late);
    arrivals.forEach(this::arrived);
    // A plan may be made before the next outcome comes, and a late outcome comes after others.
    boolean tells = !late && (isFull || (!underWay.isEmpty() && random.nextInt(4) == 0));
    StepOutcome told = tells ? underWay.removeFirst().outcome : null;
    if (told != null) {
      runner.told(told);
    }
    held = holders();
    List<DiskDone> diskDone = runner.tiers().work(random, history.tiers().failPercent());
    List<RemoteDone> remoteDone = runner.tiers().workRemotely(random, history.tiers());
    StepOutput output =
        scheduler.step(new StepInput(arrivals, cancellations, told, diskDone, remoteDone));
    runner.tiers().add(output.diskWork());
    runner.tiers().addRemote(output.remoteWork());
    noteFailures(told);
    noteCancellations(cancellations, arrivals);
    output.emissions().forEach(this::note);
    checkUnique(output.emissions());
    silence(cancellations);
    stats = output.stats();
    audit();
    if (isFull && !tells) {
      check(output.plan().isEmpty(), "depth", "one plan too many was made");
      check(output.plan().forgotten().length == 0, "depth", "forgets during a plan");
      return;
    }
    checkPlan(output.plan());
    if (output.plan().isEmpty()) {
      runner.run(output.plan(), Set.of());
    } else {
      boolean failsCopies = random.nextInt(100) < history.tiers().failPercent();
      StepOutcome outcome = runner.run(output.plan(), failing(output.plan()), failsCopies);
      underWay.add(new Pending(outcome, runner.written(output.plan())));
    }
  }

  // ---- What happens --------------------------------------------------------------------------

  private void draw(List<Cancellation> cancellations, List<EngineRequest> arrivals, boolean late) {
    while (!due.isEmpty() && due.getFirst().time() <= calls) {
      arrivals.add(due.removeFirst().request());
    }
    List<Stream> live = live().toList();
    if (live.isEmpty()) {
      return;
    }
    Stream victim = live.get(random.nextInt(live.size()));
    if (random.nextInt(100) < history.cancelPercent()) {
      if (!arrivals.isEmpty() && random.nextBoolean()) {
        long key = arrivals.getFirst().key(); // gone before it got here
        cancellations.add(new Cancellation(key, FinishReason.ABORT, random.nextBoolean()));
      }
      cancellations.add(
          new Cancellation(victim.request.key(), FinishReason.ABORT, random.nextBoolean()));
      cancellations.add(new Cancellation(-1, FinishReason.ABORT, false));
    } else if (random.nextInt(100) < history.movePercent()) {
      cancellations.add(new Cancellation(victim.request.key(), FinishReason.ABORT, true));
      arrivals.add(History.moved(victim.request, nextKey++, victim.tokens));
    } else if (late && random.nextInt(4) == 0) {
      EngineRequest twin = History.moved(victim.request, victim.request.key(), List.of(1, 1));
      duplicates.add(twin);
      arrivals.add(twin);
    }
  }

  private void arrived(EngineRequest request) {
    if (!duplicates.contains(request)) {
      streams.put(request.key(), new Stream(request, arrivalCount));
    }
    arrivalCount++;
  }

  private Set<Long> failing(StepPlan plan) {
    Set<Long> failing = new HashSet<>();
    if (random.nextInt(100) < history.failPercent()) {
      boolean all = random.nextInt(4) == 0;
      for (Slice slice : plan.slices()) {
        if (all || random.nextInt(plan.slices().size()) == 0) {
          failing.add(slice.key());
        }
      }
    }
    return failing;
  }

  private void noteFailures(@Nullable StepOutcome told) {
    if (told != null) {
      told.failures().forEach(failure -> stream(failure.key()).failed = true);
    }
  }

  private void noteCancellations(List<Cancellation> cancellations, List<EngineRequest> arrivals) {
    for (Cancellation cancellation : cancellations) {
      Stream stream = streams.get(cancellation.key());
      if (stream != null && stream.finish == null) {
        stream.cancelled = true;
        // One that is refused on arrival has ended before its cancellation is looked at.
        stream.silenced = cancellation.silent() && !arrivals.contains(stream.request);
      }
    }
  }

  private void silence(List<Cancellation> cancellations) {
    for (Cancellation cancellation : cancellations) {
      Stream stream = streams.get(cancellation.key());
      if (stream != null && stream.finish == null) {
        stream.silenced = cancellation.silent();
      }
    }
  }

  private void note(Emission emission) {
    Finish finish = emission.finish();
    digest(emission.key(), Arrays.hashCode(emission.tokens()), emission.promptLogprobs().size());
    digest(finish == null ? 0 : finish.reason().name().hashCode());
    EngineRequest opened = emission.opened();
    if (opened != null && duplicates.contains(opened)) {
      boolean refused = finish != null && finish.reason() == FinishReason.ERROR;
      check(refused, "P4 one end", "a duplicate of %s was not refused", emission.key());
      return;
    }
    Stream stream = stream(emission.key());
    check(!stream.silenced, "P4 one end", "news of silenced %s", emission.key());
    stream.take(emission, this);
  }

  private void checkUnique(List<Emission> emissions) {
    Set<Long> seen = new HashSet<>();
    for (Emission emission : emissions) {
      EngineRequest opened = emission.opened();
      boolean twin = opened != null && duplicates.contains(opened);
      check(twin || seen.add(emission.key()), "P4 one end", "two emissions of %s", emission.key());
    }
  }

  // ---- What must hold ------------------------------------------------------------------------

  private void audit() {
    int[] holders = new int[history.blockCount()];
    for (Sequence holder : scheduler.holders()) {
      BlockTable table = holder.table();
      for (int i = 0; i < table.count(); i++) {
        holders[table.block(i)]++;
      }
    }
    int used = 0;
    int plain = 0;
    for (int block = 0; block < holders.length; block++) {
      check(
          holders[block] == kv.holders(block),
          "P2 holders",
          "block %d: %d tables, %d holders",
          block,
          holders[block],
          kv.holders(block));
      used += holders[block] > 0 ? 1 : 0;
      plain += holders[block] == 0 && !kv.isIndexed(block) ? 1 : 0;
    }
    check(
        used == kv.usedCount() && used + plain + kv.cachedCount() == history.blockCount(),
        "P1 blocks add up",
        "%d used, %d free, %d cached of %d",
        used,
        plain,
        kv.cachedCount(),
        history.blockCount());
    check(stats.running() <= settings.sequencesMax(), "P3 cap", "%s are running", stats.running());
    check(stats.blocksUsed() == used, "P1 blocks add up", "stats say %s", stats.blocksUsed());
    long live = live().count();
    check(
        stats.running() + stats.waiting() == live,
        "P4 one end",
        "%d running, %d waiting, %d live",
        stats.running(),
        stats.waiting(),
        live);
    if (!settings.prefixCaching()) {
      check(kv.cachedCount() == 0, "P11 cache", "blocks are cached though caching is off");
    }
  }

  private void checkPlan(StepPlan plan) {
    check(
        !underWay.isEmpty() || scheduler.holders().size() == stats.running(),
        "P9 cancelled blocks",
        "blocks of ended sequences outlive the step after");
    int total = 0;
    Set<Long> planned = new HashSet<>();
    for (Slice slice : plan.slices()) {
      check(planned.add(slice.key()), "P3 budget", "two slices of %s", slice.key());
      check(
          settings.longPrefillTokens() == 0 || slice.count() <= settings.longPrefillTokens(),
          "P3 budget",
          "long slice %s",
          slice.count());
      total += slice.count();
      digest(slice.key(), slice.computed(), slice.count());
      digest(Arrays.hashCode(slice.newBlocks()));
      for (int block : slice.newBlocks()) {
        check(
            underWay.stream().noneMatch(before -> before.written.contains(block)),
            "P13 blocks under way",
            "block %s is being written, and given to %s",
            block,
            slice.key());
      }
    }
    digest(plan.step(), Arrays.hashCode(plan.forgotten()), plan.started().size());
    check(total <= settings.batchedTokensMax(), "P3 budget", "%s tokens", total);
    check(planned.size() <= settings.sequencesMax(), "P3 cap", "%s slices", planned.size());
    check(total == stats.stepTokens(), "P3 budget", "stats say %s", stats.stepTokens());
    checkOrder(plan, planned);
  }

  private void checkOrder(StepPlan plan, Set<Long> planned) {
    Comparator<Stream> order = Comparator.comparingLong(stream -> stream.arrival);
    if (settings.policy() == Policy.PRIORITY) {
      order =
          Comparator.<Stream>comparingInt(stream -> stream.request.priority()).thenComparing(order);
    }
    List<Stream> live = live().sorted(order).toList();
    if (live.isEmpty()) {
      return;
    }
    // While a plan is under way, all there is to do may be in it, or it comes from behind the host.
    boolean reads = runner.tiers().isReading();
    check(
        !plan.isEmpty() || !underWay.isEmpty() || reads,
        "P10 no starvation",
        "%s live and nothing planned",
        live.size());
    // Who awaits its copies has no slice, and who awaited the disk or a cache node was overtaken.
    boolean behind = history.tiers().diskSlots() > 0 || history.tiers().remote();
    boolean inOrder = plan.copies().in().isEmpty() && !behind;
    if (settings.policy() == Policy.FCFS && underWay.isEmpty() && inOrder) {
      long oldest = live.getFirst().request.key();
      check(planned.contains(oldest), "P10 no starvation", "oldest %s has no slice", oldest);
    }
    Set<Long> here = holders();
    Set<Long> admitted = holders();
    admitted.removeAll(held);
    for (long key : plan.forgotten()) {
      Stream stream = streams.get(key);
      boolean preempted = stream != null && stream.isLive();
      check(!preempted || admitted.isEmpty(), "P6 order", "admits in a step that preempts");
    }
    boolean overtaken = false;
    for (Stream stream : live) {
      long key = stream.request.key();
      check(!admitted.contains(key) || !overtaken, "P6 order", "%s overtakes one that waits", key);
      overtaken |= !here.contains(key) && !reads;
    }
  }

  private Set<Long> holders() {
    Set<Long> keys = new HashSet<>();
    scheduler.holders().forEach(holder -> keys.add(holder.key()));
    return keys;
  }

  /** Formats only what fails: this runs for every block of every step. */
  @SuppressWarnings("AnnotateFormatMethod") // the annotation is in no library of ours
  void check(boolean holds, String property, String format, Object... values) {
    if (!holds) {
      String text = format.formatted(values);
      throw new AssertionError(
          "property %s fails at call %d of seed %d: %s (replay with -Dseed=%d)"
              .formatted(property, calls, history.seed(), text, history.seed()));
    }
  }

  History history() {
    return history;
  }

  private java.util.stream.Stream<Stream> live() {
    return streams.values().stream().filter(Stream::isLive);
  }

  private Stream stream(long key) {
    Stream stream = streams.get(key);
    check(stream != null, "P4 one end", "unknown sequence %s", key);
    return Objects.requireNonNull(stream);
  }

  private void digest(long... values) {
    for (long value : values) {
      digest = 31 * digest + value;
    }
  }
}
