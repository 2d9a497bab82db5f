package io.verdier.engine.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.Pooling;
import io.verdier.engine.sample.TokenLogprobs;
import io.verdier.engine.schedule.StepOutcome.Failure;
import io.verdier.engine.schedule.StepOutcome.Pooled;
import io.verdier.engine.schedule.StepOutcome.PromptLogprobs;
import io.verdier.engine.schedule.StepPlan.Slice;
import io.verdier.engine.schedule.StepPlan.Start;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.LongFunction;

/**
 * Executes plans over a model of the cache's contents, knowing only what plans say. Owned by the
 * test thread.
 *
 * <p>Every slot of every block keeps what was last written there and under which salt. Whatever a
 * slice attends to is read through the block table and compared with what that sequence itself
 * would have written, so a block reused too early, shared wrongly or cut short shows at once.
 *
 * <p>A plan is run when it is begun, as a device works in the order of its queue; what came of it
 * may be {@linkplain #told told} later.
 */
final class FakeRunner {
  static final String FAILURE = "It broke.";

  private final PureModel model;
  private final int blockTokens;
  private final int runMax;
  private final LongFunction<String> saltOf;
  private final long[] states; // [blocks × blockTokens]
  private final String[] salts; // [blocks × blockTokens]
  private final Map<Long, Known> known = new HashMap<>();
  private final FakeTiers tiers;

  /** What an executor remembers of a sequence. */
  private static final class Known {
    final Start start;
    final String salt;
    int[] tokens;
    int[] table = {};
    int computed = -1;
    int untold; // of the tokens
    int pooled; // hidden states that were wanted and computed
    boolean failed;

    Known(Start start, String salt) {
      this.start = start;
      this.salt = salt;
      this.tokens = start.tokens().clone();
    }
  }

  FakeRunner(History history, LongFunction<String> saltOf) {
    this.model = history.model();
    this.blockTokens = history.blockTokens();
    this.runMax = history.runMax();
    this.saltOf = saltOf;
    this.states = new long[history.blockCount() * blockTokens];
    this.salts = new String[history.blockCount() * blockTokens];
    this.tiers = new FakeTiers(blockTokens, states, salts, history.tiers().hostSlots());
  }

  /** What lies behind its blocks. */
  FakeTiers tiers() {
    return tiers;
  }

  Set<Long> knownKeys() {
    return known.keySet();
  }

  /** Runs a plan; the sequences in {@code failing} write rubbish and fail. */
  StepOutcome run(StepPlan plan, Set<Long> failing) {
    return run(plan, failing, false);
  }

  /**
   * @param failsCopies whether its copies fail
   */
  StepOutcome run(StepPlan plan, Set<Long> failing, boolean failsCopies) {
    tiers.begin(plan, failsCopies);
    StepOutcome outcome = compute(plan, failing);
    return failsCopies ? outcome.withoutCopies() : outcome;
  }

  private StepOutcome compute(StepPlan plan, Set<Long> failing) {
    for (long key : plan.forgotten()) {
      check(known.remove(key) != null, "forgets unknown sequence %s", key);
    }
    for (Start start : plan.started()) {
      Known old = known.put(start.key(), new Known(start, saltOf.apply(start.key())));
      check(old == null, "starts known sequence %s", start.key());
    }
    List<Long> keys = new ArrayList<>();
    List<int[]> tokens = new ArrayList<>();
    List<PromptLogprobs> scores = new ArrayList<>();
    List<Failure> failures = new ArrayList<>();
    List<Pooled> pooled = new ArrayList<>();
    plan.slices().forEach(this::accept);
    for (Slice slice : plan.slices()) {
      Known sequence = known(slice);
      if (sequence.failed) {
        spoil(sequence, slice); // failed in a plan before, whose outcome tells
        continue;
      }
      compute(sequence, slice);
      if (failing.contains(slice.key())) {
        sequence.failed = true;
        spoil(sequence, slice);
        failures.add(new Failure(slice.key(), ErrorCode.INTERNAL, FAILURE));
        continue;
      }
      if (sequence.start.sampling().promptLogprobs() >= 0) {
        score(sequence, slice, scores);
      }
      pool(sequence, slice, pooled);
      if (slice.samples() && sequence.computed == sequence.tokens.length) {
        keys.add(slice.key());
        tokens.add(sample(sequence));
      }
    }
    return new StepOutcome(
        plan.step(),
        keys.stream().mapToLong(Long::longValue).toArray(),
        tokens.toArray(int[][]::new),
        new TokenLogprobs[keys.size()],
        scores,
        failures,
        pooled);
  }

  /** The scheduler gets an outcome, and knows its tokens from now on. */
  void told(StepOutcome outcome) {
    tiers.told(outcome.step());
    for (int i = 0; i < outcome.keys().length; i++) {
      Known sequence = known.get(outcome.keys()[i]);
      if (sequence != null) {
        sequence.untold -= outcome.tokens()[i].length;
      }
    }
  }

  /** The blocks that a plan that was just run has written. */
  Set<Integer> written(StepPlan plan) {
    Set<Integer> blocks = new HashSet<>();
    for (Slice slice : plan.slices()) {
      int end = slice.computed() + slice.count();
      for (int position = slice.computed(); position < end; position++) {
        blocks.add(known(slice).table[position / blockTokens]);
      }
    }
    return blocks;
  }

  /** Takes the slice's blocks and checks that the slice is what the plan's contract says. */
  private void accept(Slice slice) {
    Known sequence = known(slice);
    int end = slice.computed() + slice.count();
    if (!sequence.failed) {
      check(slice.count() >= 1 && end <= sequence.tokens.length, "slice beyond tokens %s", slice);
      boolean awaits = end > sequence.tokens.length - sequence.untold;
      check(slice.awaitsToken() == awaits, "awaits a token: %s", slice);
      check(!awaits || slice.count() == 1, "awaits more than a token: %s", slice);
    }
    check(
        sequence.computed < 0 || sequence.computed == slice.computed(),
        "slice begins at %s, computed are %s",
        slice.computed(),
        sequence.computed);
    int held = sequence.table.length;
    sequence.table = Arrays.copyOf(sequence.table, held + slice.newBlocks().length);
    System.arraycopy(slice.newBlocks(), 0, sequence.table, held, slice.newBlocks().length);
    check(
        sequence.table.length == Math.ceilDiv(end, blockTokens),
        "%s blocks for %s tokens",
        sequence.table.length,
        end);
    boolean reaches = slice.awaitsToken() || end == sequence.tokens.length;
    boolean last = reaches && sequence.start.sampling().maxTokens() > 0;
    check(sequence.failed || slice.samples() == last, "samples is %s", slice.samples());
    sequence.computed = end;
  }

  private Known known(Slice slice) {
    Known sequence = known.get(slice.key());
    if (sequence == null) {
      throw new AssertionError("runner: runs unknown sequence " + slice.key());
    }
    return sequence;
  }

  private void compute(Known sequence, Slice slice) {
    long state = PureModel.origin(sequence.start.adapter());
    for (int position = 0; position < slice.computed(); position++) {
      state = PureModel.next(state, sequence.tokens[position]);
      verify(sequence, position, state);
    }
    for (int position = slice.computed(); position < sequence.computed; position++) {
      int block = sequence.table[position / blockTokens];
      for (Known other : known.values()) {
        check(
            other == sequence || Arrays.stream(other.table).noneMatch(b -> b == block),
            "sequence %s writes block %s, which is shared",
            slice.key(),
            block);
      }
      state = PureModel.next(state, sequence.tokens[position]);
      states[slot(sequence, position)] = state;
      salts[slot(sequence, position)] = sequence.salt;
    }
  }

  private void verify(Known sequence, int position, long state) {
    int slot = slot(sequence, position);
    check(
        states[slot] == state && sequence.salt.equals(salts[slot]),
        "sequence %d reads at position %d what was not written by its tokens and salt",
        sequence.start.key(),
        position);
  }

  private void spoil(Known sequence, Slice slice) {
    for (int position = slice.computed(); position < sequence.computed; position++) {
      states[slot(sequence, position)] = -1;
    }
  }

  /** How many tokens at once depends on the position alone, and changes none of them. */
  private int[] sample(Known sequence) {
    int count = sequence.tokens.length;
    int run = 1 + count * 31 % 7 * count % runMax;
    int[] tokens = Arrays.copyOf(sequence.tokens, count + run);
    long state = states[slot(sequence, count - 1)];
    for (int position = count; position < tokens.length; position++) {
      tokens[position] = model.sample(state, sequence.start.sampling().seed(), position);
      state = PureModel.next(state, tokens[position]);
    }
    sequence.tokens = tokens;
    sequence.untold += run;
    return Arrays.copyOfRange(tokens, count, tokens.length);
  }

  private void score(Known sequence, Slice slice, List<PromptLogprobs> all) {
    List<TokenLogprobs> scores = new ArrayList<>();
    int end = Math.min(sequence.computed, sequence.start.promptTokens() - 1);
    for (int position = slice.computed() + 1; position <= end; position++) {
      scores.add(scoreAt(sequence.tokens, position));
    }
    if (!scores.isEmpty()) {
      all.add(new PromptLogprobs(slice.key(), slice.computed() + 1, scores));
    }
  }

  /** A vector that says how many hidden states have come. */
  private static void pool(Known sequence, Slice slice, List<Pooled> all) {
    Pooling pooling = sequence.start.sampling().pooling();
    int promptTokens = sequence.start.promptTokens();
    for (int position = slice.computed(); position < sequence.computed; position++) {
      sequence.pooled += pooling.takes(position, promptTokens) ? 1 : 0;
    }
    if (pooling != Pooling.NONE && sequence.computed == promptTokens) {
      all.add(new Pooled(slice.key(), new float[] {sequence.pooled}));
    }
  }

  /** A score that says its position. */
  static TokenLogprobs scoreAt(int[] tokens, int position) {
    return new TokenLogprobs(tokens[position], -position, 1, new int[0], new float[0]);
  }

  private int slot(Known sequence, int position) {
    return sequence.table[position / blockTokens] * blockTokens + position % blockTokens;
  }

  /** Formats only what fails: this runs for every token of every step. */
  @SuppressWarnings("AnnotateFormatMethod") // the annotation is in no library of ours
  private static void check(boolean holds, String format, Object... values) {
    if (!holds) {
      throw new AssertionError("runner: " + format.formatted(values));
    }
  }
}
