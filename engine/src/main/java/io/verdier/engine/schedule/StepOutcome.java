package io.verdier.engine.schedule;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one step gave. Immutable.
 *
 * @param step of the plan
 * @param keys sequences that got tokens, in the plan's order; failed ones left out, and those whose
 *     slice {@linkplain StepPlan.Slice#awaitsToken awaited} a token behind which more are known now
 * @param tokens of each key, in order: the sampled one, and those that are known to follow it
 *     without a step of their own; not to be changed. Empty: nothing may follow, and the model has
 *     no end token that would say so; the answer ends as if it had said one
 * @param logprobs of each key's token, which is its only one then; null entries where none were
 *     asked for
 * @param promptLogprobs prompt positions scored in this step
 * @param failures sequences that failed in this step; the others are not touched by it
 * @param pooled sequences whose prompt is pooled to its end
 * @param copied whether all copies of the plan have been made; else none count, and none is under
 *     way any more
 */
public record StepOutcome(
    long step,
    long[] keys,
    int[][] tokens,
    @Nullable TokenLogprobs[] logprobs,
    List<PromptLogprobs> promptLogprobs,
    List<Failure> failures,
    List<Pooled> pooled,
    boolean copied) {

  private static final float[] NOTHING = {};

  /** The outcome of a step that pools nothing to its end, with one token of each key. */
  public StepOutcome(
      long step,
      long[] keys,
      int[] tokens,
      @Nullable TokenLogprobs[] logprobs,
      List<PromptLogprobs> promptLogprobs,
      List<Failure> failures) {
    this(step, keys, each(tokens), logprobs, promptLogprobs, failures, List.of());
  }

  /** The outcome of a step whose copies, if any, have been made. */
  public StepOutcome(
      long step,
      long[] keys,
      int[][] tokens,
      @Nullable TokenLogprobs[] logprobs,
      List<PromptLogprobs> promptLogprobs,
      List<Failure> failures,
      List<Pooled> pooled) {
    this(step, keys, tokens, logprobs, promptLogprobs, failures, pooled, true);
  }

  /** The same, of a step whose copies count as not made. */
  public StepOutcome withoutCopies() {
    return new StepOutcome(step, keys, tokens, logprobs, promptLogprobs, failures, pooled, false);
  }

  private static int[][] each(int[] tokens) {
    int[][] each = new int[tokens.length][];
    for (int i = 0; i < tokens.length; i++) {
      each[i] = new int[] {tokens[i]};
    }
    return each;
  }

  /** What was pooled of a sequence, empty if nothing was. */
  float[] pooledOf(long key) {
    for (Pooled each : pooled) {
      if (each.key() == key) {
        return each.vectors();
      }
    }
    return NOTHING;
  }

  /**
   * Scores of consecutive prompt tokens.
   *
   * @param firstPosition position in the prompt of the first scored token, ≥ 1 (the first token has
   *     no score)
   */
  public record PromptLogprobs(long key, int firstPosition, List<TokenLogprobs> scores) {}

  /**
   * What was made of a prompt's hidden states.
   *
   * @param vectors {@code [vectors, hidden]}, not to be changed
   */
  public record Pooled(long key, float[] vectors) {}

  /**
   * One sequence failed.
   *
   * @param code whose fault it was: the request's or ours
   * @param text fit for the user
   */
  public record Failure(long key, ErrorCode code, String text) {}
}
