package io.verdier.engine.sample;

import io.verdier.engine.RejectedException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Owned by one thread. Chooses tokens from logits: a pure function of (logits, tokens so far,
 * parameters), whatever else is in the batch and whatever was sampled before. All scratch is
 * allocated once, for one row.
 *
 * <p>The order is that of vLLM's V1 sampler: log probabilities come from the raw logits; then
 * allowed ids, the constraint's mask, bad words, minimum length, bias, penalties ({@link
 * LogitStages}); then either the largest logit, or temperature, min_p, top_k, top_p and a draw
 * ({@link Candidates}). The draw is an inverse distribution function fed by a {@link Philox} number
 * of (seed, position).
 */
public final class Sampler {
  private final int vocabSize;
  private final int[] endTokenIds;
  private final float[] row; // [vocab], the logits while stages change them
  private final Candidates candidates;
  private final TopTokens topTokens = new TopTokens();

  /**
   * @param vocabSize logits in a row
   * @param endTokenIds the model's own end tokens, masked until {@code minTokens} are reached; ids
   *     that the model has no logit for are left out
   */
  public Sampler(int vocabSize, int[] endTokenIds) {
    if (vocabSize < 1 || vocabSize > FixedExp.TERMS_MAX) {
      throw new IllegalArgumentException(
          "vocabulary of " + vocabSize + " tokens; 1 to " + FixedExp.TERMS_MAX + " are possible");
    }
    this.vocabSize = vocabSize;
    this.endTokenIds = Arrays.stream(endTokenIds).filter(id -> id >= 0 && id < vocabSize).toArray();
    this.row = new float[vocabSize];
    this.candidates = new Candidates(vocabSize);
  }

  /** As {@link #sample(float[], int, TokenHistory, SamplingParams, TokenMask)}, without a mask. */
  public Sampled sample(float[] logits, int offset, TokenHistory history, SamplingParams params) {
    return sample(logits, offset, history, params, null);
  }

  /**
   * Chooses the token that follows the history.
   *
   * @param logits the row [vocab] f32 starts at {@code offset}; it is not changed. Negative
   *     infinity masks a token
   * @param mask what a constraint lets follow; null: anything
   * @throws IllegalStateException if a logit is NaN or positive infinity, or if all are negative
   *     infinity; the text names the cause, and the sampler stays usable
   * @throws RejectedException if the row is sound, but what the parameters ask for leaves no token
   *     to choose
   */
  public Sampled sample(
      float[] logits,
      int offset,
      TokenHistory history,
      SamplingParams params,
      @Nullable TokenMask mask) {
    boolean scored = params.logprobs() >= 0;
    int token;
    if (mask == null && LogitStages.areIdle(history, params)) {
      token = choose(logits, offset, sound(logits, offset), history, params);
    } else {
      sound(logits, offset); // refuses a broken row before a mask could hide it
      System.arraycopy(logits, offset, row, 0, vocabSize);
      LogitStages.apply(row, endTokenIds, history, params, mask);
      token = choose(row, 0, choosable(max(row, 0)), history, params);
    }
    return new Sampled(token, scored ? score(logits, offset, token, params) : null);
  }

  /**
   * Log probabilities of {@code token} and of the {@code topCount} most probable tokens, from raw
   * logits.
   *
   * @param logits the row [vocab] f32 starts at {@code offset}; it is not changed
   * @throws IllegalStateException as {@link #sample}
   */
  public TokenLogprobs score(float[] logits, int offset, int token, int topCount) {
    topTokens.select(logits, offset, vocabSize, topCount);
    int[] topIds = new int[topTokens.size()];
    for (int i = 0; i < topIds.length; i++) {
      topIds[i] = topTokens.id(i);
    }
    return score(logits, offset, token, topIds);
  }

  private TokenLogprobs score(float[] logits, int offset, int token, SamplingParams params) {
    return params.scoredIds().length > 0
        ? score(logits, offset, token, params.scoredIds())
        : score(logits, offset, token, params.logprobs());
  }

  private TokenLogprobs score(float[] logits, int offset, int token, int[] others) {
    float max = sound(logits, offset);
    double scale = FixedExp.scale(1);
    long sum = 0;
    for (int id = 0; id < vocabSize; id++) {
      sum += FixedExp.weight(((double) logits[offset + id] - max) * scale);
    }
    LogSum logSum = LogSum.of(max, sum);
    float[] logprobs = new float[others.length];
    for (int i = 0; i < others.length; i++) {
      logprobs[i] = logSum.logprob(logits[offset + others[i]]);
    }
    float logprob = logSum.logprob(logits[offset + token]);
    return new TokenLogprobs(token, logprob, rank(logits, offset, token), others, logprobs);
  }

  private int choose(
      float[] logits, int offset, float max, TokenHistory history, SamplingParams params) {
    if (params.isGreedy()) {
      return first(logits, offset, max);
    }
    candidates.weigh(logits, offset, max, params);
    return candidates.draw(Philox.bits(params.seed(), history.size()));
  }

  /** The lowest id that has this logit. */
  private static int first(float[] logits, int offset, float logit) {
    int id = 0;
    while (logits[offset + id] != logit) {
      id++;
    }
    return id;
  }

  /** The token's place in {@link Order}, from 1. */
  private int rank(float[] logits, int offset, int token) {
    float logit = logits[offset + token];
    int before = 0;
    for (int id = 0; id < token; id++) {
      before += logits[offset + id] >= logit ? 1 : 0;
    }
    for (int id = token + 1; id < vocabSize; id++) {
      before += logits[offset + id] > logit ? 1 : 0;
    }
    return before + 1;
  }

  /** The largest logit of a row of the model, which is finite or an exception. */
  private float sound(float[] logits, int offset) {
    float max = max(logits, offset);
    if (isFinite(max)) {
      return max;
    }
    if (max == Float.NEGATIVE_INFINITY) {
      throw RowFault.brokenRow();
    }
    int id = 0;
    while (logits[offset + id] < Float.POSITIVE_INFINITY) {
      id++;
    }
    throw RowFault.brokenLogit(id, logits[offset + id]);
  }

  /** The largest logit of a sound row that went through the stages: finite or a refusal. */
  private static float choosable(float max) {
    if (isFinite(max)) {
      return max;
    }
    throw max == Float.NEGATIVE_INFINITY ? RowFault.noTokenLeft() : RowFault.refusedLogit(max);
  }

  private static boolean isFinite(float max) {
    return Math.abs(max) <= Float.MAX_VALUE;
  }

  /** The largest logit of the row; NaN if any is. */
  private float max(float[] logits, int offset) {
    float max = Float.NEGATIVE_INFINITY;
    for (int id = 0; id < vocabSize; id++) {
      max = Math.max(max, logits[offset + id]);
    }
    return max;
  }
}
