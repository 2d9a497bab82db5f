package io.verdier.engine.schedule;

import io.verdier.cache.host.PrefixTiers;
import io.verdier.cache.kv.KvCacheManager;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.SequenceRules.Ending;
import io.verdier.engine.schedule.StepInput.Cancellation;
import io.verdier.engine.schedule.StepOutput.Emission;
import io.verdier.engine.schedule.StepOutput.Fault;
import io.verdier.engine.schedule.StepOutput.Finish;
import io.verdier.engine.schedule.StepOutput.Stats;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.schedule.UnderWay.LoadPart;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Decides who runs each step, in which blocks. Owned by the scheduler thread.
 *
 * <p><b>Idea.</b> A sequence has <i>known</i> tokens (prompt and generated) and <i>computed</i>
 * tokens (whose keys and values are in the cache). A step covers some of the difference, and where
 * it covers the last known token, one more becomes known, or several: those that can only follow it
 * need no step of their own, and the next one computes them together. There is no other state. A
 * prompt of any length in steps of any size, a prefix found in the cache (computed begins above 0),
 * a preemption (computed falls to 0), a sequence that moved here from another node (known begins
 * above the prompt): each is that one rule with other numbers, so none of them can change a token.
 *
 * <p><b>A step.</b> Cancellations, the outcome of the plan that is done, arrivals; then the next
 * plan, out of one token budget: running sequences first, in order, each getting as many of its
 * missing tokens as fit; then waiting ones, in order, while budget, running cap and blocks last.
 * Order is one comparator: arrival, or priority and then arrival. Both lists are sorted by it, so
 * "first come", "highest priority" and "back to the front of the queue after a preemption" are all
 * the same line of code.
 *
 * <p><b>Blocks.</b> A sequence is admitted only with blocks for all it knows and one token more.
 * From then on it needs a block now and then as it grows, and where none is free, the last running
 * sequence gives all of its own back and waits again; its computed blocks stay findable, so that
 * what is recomputed is mostly what was evicted meanwhile. In a step that preempts nobody is
 * admitted, or the blocks just won would go to the next in line. What a sequence needs and only the
 * host, the disk or a cache node has is brought beside the steps ({@link SequenceBlocks}).
 *
 * <p><b>Invariants.</b>
 *
 * <ol>
 *   <li>{@code waiting}, {@code running} and the ended are disjoint; {@code live} maps the keys of
 *       the first two. A sequence has blocks exactly if it runs, or has ended while a plan that
 *       names it is under way: a block that a running plan writes has no second owner.
 *   <li>Every live sequence fits the pool together with its next token, alone ({@link
 *       SequenceRules}). Victims stand behind whoever needs the block, so the first running
 *       sequence is in every plan and ends; then the next is first. Nothing waits for ever, except
 *       for those of higher priority.
 *   <li>Only what an outcome has confirmed is committed to the prefix index. The blocks of a failed
 *       sequence are taken out of it.
 *   <li>A sequence gets at most one emission per step, the first carries its request, and exactly
 *       one carries its finish; after a silent cancellation none.
 *   <li>The same inputs give the same outputs: no clock, no randomness, no iteration over hashes.
 * </ol>
 *
 * <p>A {@link Search} is not a sequence: its beginnings are, one position at a time.
 *
 * <p><b>Life-cycle.</b>
 *
 * <pre>
 *   arrival ──▶ WAITING ──admit──▶ RUNNING ──stop, length, failure──▶ ENDED ──▶ forgotten by executor
 *      │          ▲  │                │ │                               ▲
 *      │          └──│── preempt ─────┘ └────────── cancel ─────────────┤
 *      └─ refusal    └───────────────────────────── cancel ─────────────┘
 * </pre>
 *
 * <p>{@code step} may be called at any time; {@link UnderWay} says what becomes of plans that are
 * made before the last one is done.
 */
public final class Scheduler {
  private static final long[] NO_KEYS = {};
  private static final int[] NO_TOKENS = {};

  private final SchedulerSettings settings;
  private final SequenceBlocks blocks;
  private final SequenceRules rules;
  private final Comparator<Sequence> order;
  private final Map<Long, Sequence> live = new HashMap<>();
  private final TreeSet<Sequence> waiting;
  private final List<Sequence> running = new ArrayList<>(); // sorted by order
  private final RunningAdapters adapters;
  private final Gate gate = new Gate();
  private final List<Sequence> forgotten = new ArrayList<>(); // to be told with the next plan
  private final Deque<UnderWay> underWay = new ArrayDeque<>(2); // oldest first
  private final Searches searches;
  private final News news;
  private long arrivals;
  private long steps;
  private long preemptions;

  /** Whether running sequences get the blocks they need. */
  private enum Blocks {
    ENOUGH,
    /** Others gave theirs back. */
    PREEMPTED,
    /** Others must, and can only when nothing is under way. */
    AWAITED
  }

  /** Without tiers behind the device. */
  public Scheduler(SchedulerSettings settings, KvCacheManager kv) {
    this(settings, kv, null);
  }

  /**
   * @param tiers where blocks are that the device no longer has; null: nowhere
   */
  public Scheduler(SchedulerSettings settings, KvCacheManager kv, @Nullable PrefixTiers tiers) {
    this.settings = settings;
    this.blocks = new SequenceBlocks(kv, tiers, settings.prefixCaching());
    this.rules = new SequenceRules(settings, kv);
    this.searches = new Searches(rules);
    this.news = new News(searches);
    this.adapters = new RunningAdapters(settings.adaptersMax());
    this.order = Sequence.order(settings.policy());
    this.waiting = new TreeSet<>(order);
  }

  /**
   * Takes in what has happened and plans the next step.
   *
   * <p>A plan with slices is under way until a later call brings its outcome; outcomes come in the
   * order of the plans. While as many are under way as may be, plans are empty. A plan that only
   * tells the executor to forget needs no outcome, and one that comes is ignored.
   *
   * <p>A cancellation that names no live sequence is tried on the arrivals of the same call, for a
   * client may be gone before its request gets here. A request whose key is live is refused: the
   * refusal, which carries that request, is the only emission it gets, and the live one goes on.
   *
   * @throws IllegalStateException when the outcome does not fit the plan under way; nothing has
   *     changed then
   */
  public StepOutput step(StepInput input) {
    StepOutcome outcome = input.outcome();
    UnderWay done = outcome == null ? null : UnderWay.of(outcome, underWay.peekFirst(), steps);
    List<Cancellation> unmatched = cancel(input.cancellations());
    if (outcome != null && done != null) {
      apply(done, outcome);
    }
    input.diskDone().forEach(blocks::onDiskDone);
    input.remoteDone().forEach(blocks::onRemoteDone);
    input.arrivals().forEach(this::arrive);
    cancel(unmatched);
    search();
    StepPlan plan = mayPlan() ? plan() : nothing();
    return new StepOutput(
        plan, news.take(), stats(plan), blocks.takeDiskWork(), blocks.takeRemoteWork());
  }

  /** Whether another plan may be made before the next outcome comes. */
  public boolean mayPlan() {
    return underWay.size() < settings.plansMax();
  }

  /** Whether an outcome is to come. */
  public boolean isUnderWay() {
    return !underWay.isEmpty();
  }

  // ---- The operator's hand -------------------------------------------------------------------

  /** From the next plan on, only so much is run. What arrives meanwhile waits. */
  public void let(Gate.Flow flow) {
    gate.let(flow, arrivals);
  }

  /** Whether nothing runs any more of what may run now. */
  public boolean isStill() {
    boolean isDone = running.isEmpty() && waiting.stream().noneMatch(gate::admits);
    return !isUnderWay() && (gate.isShut() || isDone);
  }

  /** Keys of all that has not ended, answers of searches among them, in order. */
  public long[] liveKeys() {
    return LongStream.concat(
            live.keySet().stream().mapToLong(key -> key).filter(key -> !Searches.isHypothesis(key)),
            searches.keys())
        .sorted()
        .toArray();
  }

  /** Lets all running sequences give their blocks back, to be computed again. */
  public void preemptAll() {
    if (isUnderWay()) {
      throw new IllegalStateException(underWay.size() + " plans use the blocks");
    }
    while (!running.isEmpty()) {
      preempt(running.getLast());
    }
  }

  /** Makes cached prefixes unfindable; false and nothing changed while sequences hold blocks. */
  public boolean forgetPrefixes(Reach reach) {
    return blocks.forget(reach);
  }

  /** Who holds blocks: for audits. */
  List<Sequence> holders() {
    Stream<Sequence> ended = underWay.stream().flatMap(UnderWay::named).filter(Sequence::hasEnded);
    return Stream.concat(running.stream(), ended).distinct().toList();
  }

  // ---- What has happened -------------------------------------------------------------------

  /** Returns those that name no live sequence. */
  private List<Cancellation> cancel(List<Cancellation> cancellations) {
    if (cancellations.isEmpty()) {
      return cancellations;
    }
    List<Cancellation> unmatched = new ArrayList<>();
    for (Cancellation cancellation : cancellations) {
      Sequence sequence = live.get(cancellation.key());
      if (sequence != null) {
        end(sequence);
        news.end(sequence, cancellation);
      } else if (searches.serves(cancellation.key())) {
        news.endAnswer(cancellation);
      } else {
        unmatched.add(cancellation);
      }
    }
    return unmatched;
  }

  private void apply(UnderWay done, StepOutcome outcome) {
    underWay.removeFirst();
    int at = 0;
    for (int i = 0; i < done.sequences().size(); i++) {
      Sequence sequence = done.sequences().get(i);
      Slice slice = done.plan().slices().get(i);
      boolean sampled = UnderWay.sampledAt(outcome, slice, at);
      sequence.settle(slice);
      boolean isServed = sampled || sequence.needsNoToken(slice);
      Fault failure = UnderWay.failureOf(outcome, slice, isServed, sequence.isPooledBy(slice));
      if (failure != null) {
        fail(sequence, failure);
      } else {
        advance(sequence, slice, outcome, sampled ? at : -1);
      }
      at += sampled ? 1 : 0;
    }
    blocks.onCopies(done, outcome.copied());
    done.loads().stream().map(LoadPart::sequence).filter(Sequence::hasEnded).forEach(this::free);
  }

  private void fail(Sequence sequence, Fault fault) {
    sequence.fail();
    if (sequence.hasEnded()) {
      free(sequence);
      return;
    }
    end(sequence);
    news.end(sequence, new Ending(FinishReason.ERROR, -1), fault);
  }

  /**
   * @param at index of the sequence's tokens in the outcome, -1 for none
   */
  private void advance(Sequence sequence, Slice slice, StepOutcome outcome, int at) {
    blocks.commit(sequence);
    if (sequence.hasEnded()) {
      free(sequence);
      return;
    }
    boolean complete = slice.computed() + slice.count() == sequence.known();
    List<TokenLogprobs> scores =
        sequence.owesScores() ? sequence.takeScores(outcome.promptLogprobs()) : List.of();
    int[] tokens = NO_TOKENS;
    List<TokenLogprobs> logprobs = List.of();
    Optional<Ending> ending = Optional.empty();
    if (at >= 0) {
      int[] all = outcome.tokens()[at];
      ending = all.length == 0 ? Ending.MODEL_END : ending;
      int taken = 0;
      while (taken < all.length && ending.isEmpty()) { // what is behind an end was never said
        sequence.append(all[taken++]);
        ending = rules.endOf(sequence);
      }
      tokens = taken == all.length ? all : Arrays.copyOf(all, taken);
      TokenLogprobs ofToken = outcome.logprobs()[at];
      logprobs = ofToken == null ? List.of() : List.of(ofToken);
    } else if (complete) {
      ending = rules.endOf(sequence);
    }
    Finish finish = null;
    if (ending.isPresent()) {
      end(sequence);
      finish = News.finishOf(sequence, ending.get(), null);
    }
    if (at >= 0 || finish != null || !scores.isEmpty()) {
      news.add(
          new Emission(
              sequence.key(),
              sequence.open(),
              sequence.cachedTokens(),
              tokens,
              logprobs,
              scores,
              outcome.pooledOf(sequence.key()),
              finish));
    }
  }

  private void arrive(EngineRequest request) {
    BeamSearch asked = request.search();
    if (asked == null || isServed(request.key())) {
      enter(request, arrivals++);
    } else {
      searches.begin(request, asked, arrivals++);
    }
  }

  private void enter(EngineRequest request, long arrival) {
    Sequence sequence =
        new Sequence(request, arrival, blocks.open(request), rules.lengthMax(request));
    Optional<Fault> refusal =
        isServed(request.key())
            ? Optional.of(SequenceRules.duplicate(request.key()))
            : rules.refusal(request);
    if (refusal.isPresent()) {
      news.end(sequence, new Ending(FinishReason.ERROR, -1), refusal.get());
      return;
    }
    if (sequence.generatedTokens() > 0) {
      // Its last token was known elsewhere, but whether that was the end may not have been told.
      Optional<Ending> ending = rules.endOf(sequence);
      if (ending.isPresent()) {
        news.end(sequence, ending.get(), null);
        return;
      }
    }
    live.put(request.key(), sequence);
    waiting.add(sequence);
    blocks.await(sequence);
  }

  private boolean isServed(long key) {
    return live.containsKey(key) || searches.serves(key);
  }

  /** Lets searches go on: what was told of their sequences says which are the next ones. */
  private void search() {
    searches.takeNext().forEach(next -> enter(next.request(), next.arrival()));
    searches.takeDropped().stream().map(live::get).filter(Objects::nonNull).forEach(this::end);
  }

  // ---- What is next ------------------------------------------------------------------------

  private StepPlan plan() {
    PlanBuilder builder = new PlanBuilder(settings, blocks.blockTokens(), running.size());
    switch (gate.isShut() ? Blocks.PREEMPTED : planRunning(builder)) {
      case ENOUGH -> planWaiting(builder);
      case PREEMPTED -> {}
      case AWAITED -> {
        return nothing();
      }
    }
    builder.copy(blocks.copies());
    if (builder.isEmpty() && (forgotten.isEmpty() || isUnderWay())) {
      return nothing();
    }
    StepPlan plan = builder.build(++steps, takeForgotten());
    if (!plan.isEmpty()) {
      underWay.addLast(new UnderWay(plan, builder.sequences(), blocks.planned()));
    }
    return plan;
  }

  private StepPlan nothing() {
    return new StepPlan(steps, NO_KEYS, List.of(), List.of());
  }

  private Blocks planRunning(PlanBuilder builder) {
    Blocks found = Blocks.ENOUGH;
    for (int i = 0; i < running.size() && !builder.isFull(); i++) {
      Sequence sequence = running.get(i);
      int count = builder.share(sequence);
      if (count == 0) {
        continue; // all of it is under way, and it ends there; or it is being loaded
      }
      while (!blocks.reserve(sequence, sequence.planned() + count)) {
        if (isUnderWay()) {
          return Blocks.AWAITED;
        }
        Sequence last = running.getLast(); // stands at i or behind, so it has no slice yet
        preempt(last);
        found = Blocks.PREEMPTED;
        if (last == sequence) {
          return found;
        }
      }
      builder.add(sequence, count);
    }
    return found;
  }

  private void planWaiting(PlanBuilder builder) {
    adapters.rewind();
    Iterator<Sequence> inOrder = waiting.iterator();
    while (inOrder.hasNext() && !builder.isFull() && running.size() < settings.sequencesMax()) {
      Sequence sequence = inOrder.next();
      if (!gate.admits(sequence) || sequence.isFetching() || !adapters.admit(sequence.request())) {
        continue; // its time, its blocks or its slot will come, and its turn is kept
      }
      if (!blocks.admit(sequence)) {
        return; // nobody overtakes: what is large would wait for ever behind what is small
      }
      inOrder.remove();
      adapters.enter(sequence.request());
      running.add(-1 - Collections.binarySearch(running, sequence, order), sequence);
      int count = builder.share(sequence);
      if (count > 0) { // else it is being loaded
        builder.add(sequence, count);
      }
    }
  }

  private void preempt(Sequence sequence) {
    preemptions++;
    running.removeLast();
    leave(sequence);
    blocks.free(sequence);
    sequence.preempt();
    waiting.add(sequence);
  }

  // ---- Ends ----------------------------------------------------------------------------------

  private void end(Sequence sequence) {
    live.remove(sequence.key());
    switch (sequence.state()) {
      case WAITING -> waiting.remove(sequence);
      case RUNNING -> {
        running.remove(Collections.binarySearch(running, sequence, order));
        leave(sequence);
      }
      case ENDED -> throw new IllegalStateException("sequence " + sequence.key() + " ends twice");
    }
    sequence.end();
    free(sequence);
  }

  /** It runs no more; the executor hears of it if it knows it. */
  private void leave(Sequence sequence) {
    adapters.leave(sequence.request());
    blocks.leave(sequence);
    if (sequence.isStarted()) {
      forgotten.add(sequence);
    }
  }

  /** Blocks that a plan under way may still write are freed with its outcome. */
  private void free(Sequence sequence) {
    if (!sequence.isUnderWay()) {
      blocks.free(sequence);
    }
  }

  private long[] takeForgotten() {
    long[] keys = forgotten.stream().mapToLong(Sequence::key).toArray();
    forgotten.clear();
    return keys;
  }

  private Stats stats(StepPlan plan) {
    return new Stats(
        running.size(),
        waiting.size(),
        Math.min(waiting.size(), adapters.passedOver()),
        blocks.usedCount(),
        blocks.blockCount(),
        plan.tokens(),
        preemptions,
        blocks.queriedTokens(),
        blocks.hitTokens(),
        blocks.evictions(),
        blocks.hostCounts(),
        blocks.diskCounts(),
        blocks.remoteCounts());
  }
}
