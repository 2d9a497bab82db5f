package io.verdier.engine.sample;

import java.util.Arrays;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The stages that change logits before a token is chosen, each a pure function on one row [vocab]
 * f32, in the order in which {@link #apply} calls them: vLLM's.
 */
public final class LogitStages {
  private static final float MASKED = Float.NEGATIVE_INFINITY;

  private LogitStages() {}

  /** Whether {@link #apply} without a mask would leave every row as it is. */
  public static boolean areIdle(TokenHistory history, SamplingParams params) {
    return params.allowedTokenIds().length == 0
        && params.badWords().length == 0
        && history.generatedTokens() >= params.minTokens()
        && params.biasIds().length == 0
        && !hasPenalties(params);
  }

  /** Whether {@link #excluded} looks at the last token, and not only at how many there are. */
  public static boolean excludeByLastToken(SamplingParams params) {
    return Arrays.stream(params.badWords()).anyMatch(word -> word.length > 1);
  }

  static void apply(
      float[] row,
      int[] endTokenIds,
      TokenHistory history,
      SamplingParams params,
      @Nullable TokenMask mask) {
    if (params.allowedTokenIds().length > 0) {
      maskOthers(row, params.allowedTokenIds());
    }
    if (mask != null) {
      maskOthers(row, mask, endTokenIds);
    }
    excluded(endTokenIds, history, params, mask, id -> row[id] = MASKED);
    addBias(row, params.biasIds(), params.biasValues());
    if (hasPenalties(params)) {
      penalize(row, history.counts(), params);
    }
  }

  /** Whether a token's logit depends on how often it was said. */
  public static boolean hasPenalties(SamplingParams params) {
    return params.repetitionPenalty() != 1
        || params.frequencyPenalty() != 0
        || params.presencePenalty() != 0;
  }

  /** Masks all but the allowed ids, which are sorted. */
  private static void maskOthers(float[] row, int[] allowed) {
    int from = 0;
    for (int id : allowed) {
      Arrays.fill(row, from, Math.max(from, id), MASKED);
      from = id + 1;
    }
    Arrays.fill(row, from, row.length, MASKED);
  }

  /** Masks all but those that have a bit, and the end tokens unless the answer may end. */
  private static void maskOthers(float[] row, TokenMask mask, int[] endTokenIds) {
    long[] tokens = mask.tokens();
    for (int first = 0; first < row.length; first += Long.SIZE) {
      long word = first / Long.SIZE < tokens.length ? tokens[first / Long.SIZE] : 0;
      for (int id : endTokenIds) {
        if (id / Long.SIZE == first / Long.SIZE) {
          word = mask.mayEnd() ? word | 1L << id : word & ~(1L << id);
        }
      }
      int end = Math.min(row.length, first + Long.SIZE);
      for (int id = first; word != -1 && id < end; id++) {
        if ((word >>> id & 1) == 0) {
          row[id] = MASKED;
        }
      }
    }
  }

  /**
   * The single ids that may not come next: the last token of each bad word whose other tokens are
   * the last generated ones, and all that would stop before the minimum length, unless an answer
   * under a constraint has to.
   */
  public static void excluded(
      int[] endTokenIds,
      TokenHistory history,
      SamplingParams params,
      @Nullable TokenMask mask,
      IntConsumer excluded) {
    for (int[] word : params.badWords()) {
      int prefix = word.length - 1;
      if (prefix <= history.generatedTokens() && endsWith(history, word, prefix)) {
        excluded.accept(word[prefix]);
      }
    }
    if (history.generatedTokens() < params.minTokens() && (mask == null || !mask.mustEnd())) {
      acceptAll(endTokenIds, excluded);
      acceptAll(params.stopTokenIds(), excluded);
    }
  }

  private static void acceptAll(int[] ids, IntConsumer consumer) {
    for (int id : ids) {
      consumer.accept(id);
    }
  }

  private static boolean endsWith(TokenHistory history, int[] word, int prefix) {
    int start = history.size() - prefix;
    for (int i = 0; i < prefix; i++) {
      if (history.get(start + i) != word[i]) {
        return false;
      }
    }
    return true;
  }

  private static void addBias(float[] row, int[] ids, float[] values) {
    for (int i = 0; i < ids.length; i++) {
      row[ids[i]] += values[i];
    }
  }

  private static void penalize(float[] row, TokenCounts counts, SamplingParams params) {
    float repetition = params.repetitionPenalty();
    for (int i = 0; i < counts.size(); i++) {
      int token = counts.token(i);
      int generated = counts.generated(i);
      float logit = row[token];
      logit = logit > 0 ? logit / repetition : logit * repetition;
      if (generated > 0) {
        logit -= params.frequencyPenalty() * generated;
        logit -= params.presencePenalty();
      }
      row[token] = logit;
    }
  }
}
