package io.verdier.engine.schedule;

import io.verdier.cache.host.Fetch;
import io.verdier.cache.host.HostLoad;
import io.verdier.cache.kv.BlockTable;
import io.verdier.conf.ServerConfig.Policy;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome.PromptLogprobs;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.schedule.StepPlan.Start;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One live sequence and how far it has come. Owned by the scheduler thread.
 *
 * <pre>
 *   0 ……………………… computed ……………… planned ……………… known ……………… known + awaited
 *     in the cache        in plans under way    still to plan      sampled by plans under way
 * </pre>
 *
 * With one plan at a time {@code computed == planned} whenever a step is planned. What is planned
 * next begins at {@code planned}, what may be shared ends at {@code computed}. Where a plan under
 * way samples, {@code planned} may be one ahead of {@code known}: that token is planned before
 * anybody knows it. If more turn out to follow it, the plan that was made ahead computes what it
 * was to compute and samples nothing: {@code known} is beyond what it would have sampled.
 */
final class Sequence {

  /** Where a sequence is; it moves forward, and back from running to waiting when preempted. */
  enum State {
    WAITING,
    RUNNING,
    ENDED
  }

  private final EngineRequest request;
  private final long arrival;
  private final BlockTable table;
  private final int lengthMax;
  private State state = State.WAITING;
  private int[] tokens; // the request's own array until the first token is appended
  private int known;
  private int planned;
  private int computed;
  private int awaitedEnd; // how many it has with those that plans under way sample
  private int plansUnderWay;
  private boolean started; // the executor knows it
  private int toldBlocks; // leading blocks of the table that the executor knows
  private boolean opened; // its first emission is made
  private boolean admitted; // once at least
  private int cachedTokens = -1; // -1 until it first computes
  private int nextScore; // position of the next prompt score to emit
  private boolean failed;
  private @Nullable Fetch fetch; // what it awaits from behind the host while it waits
  private @Nullable HostLoad load; // what it gets from the host before it computes

  /**
   * @param lengthMax tokens with which it ends at the latest
   */
  Sequence(EngineRequest request, long arrival, BlockTable table, int lengthMax) {
    this.request = request;
    this.arrival = arrival;
    this.table = table;
    this.lengthMax = lengthMax;
    this.tokens = request.tokens();
    this.known = tokens.length;
    // Prompt scores come before the first token: what has moved here with one has told them all.
    this.nextScore = known > request.promptTokens() ? request.promptTokens() : 1;
  }

  /** Who comes first: of one search, whose sequences arrive together, the one made first. */
  static Comparator<Sequence> order(Policy policy) {
    Comparator<Sequence> byArrival =
        Comparator.comparingLong(Sequence::arrival).thenComparingLong(Sequence::key);
    return switch (policy) {
      case FCFS -> byArrival;
      case PRIORITY -> Comparator.comparingInt(Sequence::priority).thenComparing(byArrival);
    };
  }

  long key() {
    return request.key();
  }

  EngineRequest request() {
    return request;
  }

  int priority() {
    return request.priority();
  }

  long arrival() {
    return arrival;
  }

  BlockTable table() {
    return table;
  }

  int[] tokens() {
    return tokens;
  }

  int known() {
    return known;
  }

  int planned() {
    return planned;
  }

  int computed() {
    return computed;
  }

  int generatedTokens() {
    return known - request.promptTokens();
  }

  /** Prompt tokens found in the prefix cache, of whatever tier, when it first computed. */
  int cachedTokens() {
    return Math.max(0, cachedTokens);
  }

  State state() {
    return state;
  }

  boolean hasEnded() {
    return state == State.ENDED;
  }

  boolean isUnderWay() {
    return plansUnderWay > 0;
  }

  boolean isStarted() {
    return started;
  }

  boolean hasFailed() {
    return failed;
  }

  /**
   * Tokens that no plan covers yet. An awaited one counts unless it is sure to be the last: then
   * nothing is to be computed from it.
   */
  int missing() {
    if (load != null) {
      return 0; // what it computes with is still on its way
    }
    int end = awaitedEnd <= known ? known : Math.min(awaitedEnd, lengthMax - 1);
    return end - planned;
  }

  /** Whether the token behind a slice is known already: the plan before gave more than one. */
  boolean isBeyond(Slice slice) {
    return slice.awaitsToken() && slice.computed() + slice.count() < known;
  }

  /** Whether a slice may give no token though it was planned to. */
  boolean needsNoToken(Slice slice) {
    // Of one that has ended meanwhile nobody knows how many tokens the plan before gave.
    return isBeyond(slice) || (slice.awaitsToken() && state == State.ENDED);
  }

  /** Tokens that the blocks must hold for the sequence to get its next token and compute it. */
  int reserve() {
    return generates() ? known + 1 : known;
  }

  /** Whether tokens are wanted, and not only scores of the prompt. */
  boolean generates() {
    return request.sampling().maxTokens() > 0;
  }

  /** Whether prompt scores are still owed: they exist only for positions that are computed. */
  boolean owesScores() {
    return request.sampling().promptLogprobs() >= 0 && nextScore < request.promptTokens();
  }

  /** Whether every position must be computed, though the cache may know some. */
  boolean needsWholePrompt() {
    return owesScores() || request.sampling().pooling().readsWholePrompt();
  }

  /** Whether hidden states are wanted, and a slice ends the prompt. */
  boolean isPooledBy(Slice slice) {
    return request.sampling().pooling() != Pooling.NONE
        && slice.computed() + slice.count() == request.promptTokens();
  }

  /**
   * Enters the running ones with so many leading tokens in its blocks already.
   *
   * @param from what it gets from the host before it computes; null: nothing
   * @return true the first time, false after a preemption
   */
  boolean admit(int cached, @Nullable HostLoad from) {
    state = State.RUNNING;
    load = from;
    boolean first = !admitted;
    admitted = true;
    begin(cached);
    return first;
  }

  private void begin(int cached) {
    planned = cached;
    computed = cached;
    if (load == null && cachedTokens < 0) {
      cachedTokens = Math.min(cached, request.promptTokens());
    }
  }

  /** Awaits blocks from behind the host, null: none. */
  void await(@Nullable Fetch blocks) {
    fetch = blocks;
  }

  boolean isFetching() {
    return fetch != null && !fetch.isOver();
  }

  @Nullable HostLoad load() {
    return load;
  }

  /** Some of its blocks are copied in by a plan. */
  void planCopies() {
    plansUnderWay++;
  }

  void settleCopies() {
    plansUnderWay--;
  }

  /**
   * All of its load that comes has come.
   *
   * @param cached leading tokens that are in its blocks now
   */
  void endLoad(int cached) {
    load = null;
    begin(cached);
  }

  /** Back to waiting, with its tokens and nothing else. */
  void preempt() {
    if (plansUnderWay > 0) {
      throw new IllegalStateException("sequence " + key() + " is preempted in mid-plan");
    }
    state = State.WAITING;
    load = null;
    planned = 0;
    computed = 0;
    toldBlocks = 0;
    started = false;
  }

  void end() {
    state = State.ENDED;
  }

  void fail() {
    failed = true;
  }

  /** What the executor needs to begin with it. */
  Start start() {
    started = true;
    int[] all = known == tokens.length ? tokens : Arrays.copyOf(tokens, known);
    return new Start(
        key(),
        all,
        request.promptTokens(),
        request.sampling(),
        request.adapter(),
        request.guide(),
        request.thinking());
  }

  /** Plans the next {@code count} tokens, in blocks that the table has. */
  Slice plan(int count, int blocks) {
    int[] newBlocks = table.copy(toldBlocks, blocks);
    int end = planned + count;
    boolean samples = generates() && end == Math.max(known, awaitedEnd);
    Slice slice = new Slice(key(), planned, count, newBlocks, samples, end > known);
    toldBlocks = blocks;
    planned = end;
    awaitedEnd = samples ? end + 1 : awaitedEnd;
    plansUnderWay++;
    return slice;
  }

  /** A plan that named it is done, well or not. */
  void settle(Slice slice) {
    plansUnderWay--;
    computed += slice.count();
  }

  void append(int token) {
    if (known == tokens.length) {
      tokens = Arrays.copyOf(tokens, known + Math.max(32, known / 2));
    }
    tokens[known++] = token;
  }

  /** The request the first time, null afterwards. */
  @Nullable EngineRequest open() {
    if (opened) {
      return null;
    }
    opened = true;
    return request;
  }

  /** Takes the owed scores out of an outcome; what was told before a preemption is left out. */
  List<TokenLogprobs> takeScores(List<PromptLogprobs> outcome) {
    for (PromptLogprobs part : outcome) {
      int end = part.firstPosition() + part.scores().size();
      if (part.key() == key() && end > nextScore) {
        int told = Math.max(0, nextScore - part.firstPosition());
        nextScore = end;
        return part.scores().subList(told, part.scores().size());
      }
    }
    return List.of();
  }
}
