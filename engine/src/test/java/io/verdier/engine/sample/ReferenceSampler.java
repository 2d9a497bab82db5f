package io.verdier.engine.sample;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * The sampler again, slow and obvious: sorts the whole vocabulary, sums in double, counts by
 * walking the history. Logits are changed in float, as the specification has it.
 */
final class ReferenceSampler {
  /** Distance of the closest decision from its boundary; below 1e-9 rounding may decide. */
  double margin = 1;

  private final int[] endTokenIds;

  ReferenceSampler(int[] endTokenIds) {
    this.endTokenIds = endTokenIds;
  }

  int sample(float[] raw, int[] history, int promptTokens, SamplingParams params) {
    margin = 1;
    float[] logits = changed(raw, history, promptTokens, params);
    List<Integer> order = order(logits);
    if (params.temperature() < 1e-5) {
      return order.get(0);
    }
    double temperature = Math.max(params.temperature(), 0.01f);
    double[] weights = new double[logits.length];
    for (int id = 0; id < logits.length; id++) {
      double below = (double) logits[id] - logits[order.get(0)];
      weights[id] = StrictMath.exp(below / temperature);
      decide(params.minP() == 0 ? 1 : weights[id] - params.minP());
      weights[id] = weights[id] < params.minP() ? 0 : weights[id];
    }
    Set<Integer> kept = new HashSet<>(order);
    if (params.topK() > 0) {
      kept.retainAll(order.subList(0, Math.min(params.topK(), order.size())));
    }
    order.removeIf(id -> !kept.contains(id) || weights[id] == 0);
    order = mostProbable(order, weights, params.topP());
    return draw(order, weights, Philox.bits(params.seed(), history.length));
  }

  /** {token, rank} first, then the top ids. */
  static int[] ranks(float[] logits, int token, int top) {
    List<Integer> order = order(logits);
    int[] result = new int[2 + top];
    result[0] = token;
    result[1] = order.indexOf(token) + 1;
    for (int i = 0; i < top; i++) {
      result[2 + i] = order.get(i);
    }
    return result;
  }

  static double logprob(float[] logits, int token) {
    double max = IntStream.range(0, logits.length).mapToDouble(i -> logits[i]).max().orElseThrow();
    double sum =
        IntStream.range(0, logits.length).mapToDouble(i -> StrictMath.exp(logits[i] - max)).sum();
    return logits[token] - max - StrictMath.log(sum);
  }

  private static List<Integer> order(float[] logits) {
    List<Integer> order = new ArrayList<>(IntStream.range(0, logits.length).boxed().toList());
    order.sort(
        Comparator.<Integer>comparingDouble(id -> -(logits[id] + 0.0)).thenComparing(id -> id));
    return order;
  }

  private List<Integer> mostProbable(List<Integer> order, double[] weights, float topP) {
    if (topP >= 1) {
      return order;
    }
    double total = order.stream().mapToDouble(id -> weights[id]).sum();
    double before = 0;
    List<Integer> kept = new ArrayList<>();
    for (int id : order) {
      if (before / total < topP) {
        kept.add(id);
      }
      decide(before / total - topP);
      before += weights[id];
    }
    return kept;
  }

  private int draw(List<Integer> kept, double[] weights, long bits) {
    List<Integer> byId = kept.stream().sorted().toList();
    double total = byId.stream().mapToDouble(id -> weights[id]).sum();
    double point = ((bits >>> 11) * 0x1p-53) * total;
    double passed = 0;
    for (int id : byId) {
      passed += weights[id];
      decide((passed - point) / total);
      if (passed > point) {
        return id;
      }
    }
    return byId.getLast();
  }

  private void decide(double distance) {
    margin = Math.min(margin, Math.abs(distance));
  }

  private float[] changed(float[] raw, int[] history, int promptTokens, SamplingParams params) {
    float[] logits = raw.clone();
    int[] generated = Arrays.copyOfRange(history, promptTokens, history.length);
    for (int id = 0; id < logits.length; id++) {
      boolean allowed =
          params.allowedTokenIds().length == 0 || contains(params.allowedTokenIds(), id);
      boolean early = generated.length < params.minTokens();
      boolean stops = contains(endTokenIds, id) || contains(params.stopTokenIds(), id);
      if (!allowed || completesBadWord(params.badWords(), generated, id) || (early && stops)) {
        logits[id] = Float.NEGATIVE_INFINITY;
      }
    }
    for (int i = 0; i < params.biasIds().length; i++) {
      logits[params.biasIds()[i]] += params.biasValues()[i];
    }
    for (int id = 0; id < logits.length; id++) {
      int said = id;
      int count = (int) Arrays.stream(generated).filter(token -> token == said).count();
      if (contains(history, id)) {
        float repetition = params.repetitionPenalty();
        logits[id] = logits[id] > 0 ? logits[id] / repetition : logits[id] * repetition;
      }
      if (count > 0) {
        logits[id] -= params.frequencyPenalty() * count;
        logits[id] -= params.presencePenalty();
      }
    }
    return logits;
  }

  private static boolean completesBadWord(int[][] badWords, int[] generated, int id) {
    int[] after = Arrays.copyOf(generated, generated.length + 1);
    after[generated.length] = id;
    return Arrays.stream(badWords)
        .filter(word -> word.length <= after.length)
        .anyMatch(
            word ->
                Arrays.equals(
                    word, Arrays.copyOfRange(after, after.length - word.length, after.length)));
  }

  private static boolean contains(int[] ids, int id) {
    return Arrays.stream(ids).anyMatch(other -> other == id);
  }
}
