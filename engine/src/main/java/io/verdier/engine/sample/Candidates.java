package io.verdier.engine.sample;

import java.util.Arrays;

/**
 * Owned by the executor thread. The tokens of one row that may still be chosen, each with its
 * weight: weighed, cut by top_k and top_p, drawn from.
 *
 * <p>Nothing here sorts the vocabulary. While weighing, each token also falls into one of some 2800
 * buckets, 64 per factor of two in probability, and a larger logit never falls into a later bucket.
 * From the count and the weight of each bucket follows which bucket top_k or top_p cut through;
 * only that one is looked at token by token, by radix selection, so that even a row of equal logits
 * (all in one bucket) costs linear time. Weights are integers ({@link FixedExp}): their sums do not
 * depend on the order in which the parts were added.
 *
 * <p>Invariant between the calls: {@code total} is the sum of {@code weights}, and a weight of 0
 * means that the token cannot be chosen.
 */
final class Candidates {
  /** Positive temperatures below this are raised to it, as in vLLM: smaller ones overflow. */
  private static final float TEMPERATURE_MIN = 0.01f;

  /**
   * Up to so many tokens, a heap beats the buckets: 0.3 ms against 0.7 ms a row of 128256 for 50.
   */
  private static final int SHORT_LIST_MAX = 1024;

  private static final int BLOCK = 1024;
  private static final short NONE = FixedExp.BUCKETS;

  private final long[] weights; // [vocab]
  private final short[] buckets; // [vocab], NONE where the weight is 0
  private final int[] members; // [vocab], ids of the bucket that is cut
  private final long[] keys; // [vocab], their places in the order
  private final int[] bucketCounts = new int[FixedExp.BUCKETS];
  private final long[] bucketWeights = new long[FixedExp.BUCKETS];
  private final long[] digits = new long[256];
  private final TopTokens shortList = new TopTokens();
  private float[] logits = {}; // the row, from offset on
  private int offset;
  private long total;

  Candidates(int vocabSize) {
    weights = new long[vocabSize];
    buckets = new short[vocabSize];
    members = new int[vocabSize];
    keys = new long[vocabSize];
  }

  /**
   * Turns a row into weights and cuts it.
   *
   * @param logits the row [vocab] f32 starts at {@code offset}
   * @param max its largest logit, finite
   */
  void weigh(float[] logits, int offset, float max, SamplingParams params) {
    this.logits = logits;
    this.offset = offset;
    float temperature = Math.max(params.temperature(), TEMPERATURE_MIN);
    double scale = FixedExp.scale(temperature);
    long least = (long) Math.ceil(params.minP() * (double) FixedExp.ONE);
    int topK = params.topK() > 0 ? params.topK() : Integer.MAX_VALUE;
    if (topK >= weights.length && params.topP() >= 1) {
      weighAll(max, scale, least);
      return;
    }
    if (topK <= SHORT_LIST_MAX) {
      weighShortList(topK, max, scale, least);
      cutShortList(params.topP());
      return;
    }
    weighIntoBuckets(max, scale, least);
    int last = cut(NONE - 1, topK, false);
    if (params.topP() < 1) {
      last = cut(last, share(params.topP()), true);
    }
    for (int id = 0; id < weights.length; id++) {
      if (buckets[id] > last) {
        weights[id] = 0;
      }
    }
  }

  /** Sum of the weights of all tokens that may be chosen. */
  long total() {
    return total;
  }

  /** Weight of one token; 0 where it cannot be chosen. */
  long weight(int id) {
    return weights[id];
  }

  /**
   * The token at which the running sum of the weights, by ascending id, passes the same fraction of
   * the total as {@code bits} are of 2^64. By id rather than by rank: a logit that differs in its
   * last bit then moves a boundary by as little, and never swaps two tokens.
   */
  int draw(long bits) {
    long left = Math.unsignedMultiplyHigh(bits, total);
    for (int start = 0; start < weights.length; start += BLOCK) {
      int end = Math.min(start + BLOCK, weights.length);
      long block = 0;
      for (int id = start; id < end; id++) {
        block += weights[id];
      }
      if (left < block) {
        return drawWithin(start, left);
      }
      left -= block;
    }
    throw new IllegalStateException("weights end " + left + " before their total " + total);
  }

  private int drawWithin(int start, long left) {
    int id = start;
    while (left >= weights[id]) {
      left -= weights[id];
      id++;
    }
    return id;
  }

  private void weighAll(float max, double scale, long least) {
    long sum = 0;
    for (int id = 0; id < weights.length; id++) {
      long weight = FixedExp.weight(((double) logits[offset + id] - max) * scale);
      weight = weight < least ? 0 : weight;
      weights[id] = weight;
      sum += weight;
    }
    total = sum;
  }

  /** Weighs only what top_k leaves. A row's weights come out the same either way. */
  private void weighShortList(int topK, float max, double scale, long least) {
    shortList.select(logits, offset, weights.length, topK);
    Arrays.fill(weights, 0);
    total = 0;
    for (int place = 0; place < shortList.size(); place++) {
      int id = shortList.id(place);
      long weight = FixedExp.weight(((double) logits[offset + id] - max) * scale);
      weights[id] = weight < least ? 0 : weight;
      total += weights[id];
    }
  }

  private void cutShortList(float topP) {
    long target = topP < 1 ? share(topP) : Long.MAX_VALUE;
    long kept = 0;
    for (int place = 0; place < shortList.size(); place++) {
      int id = shortList.id(place);
      if (kept >= target) {
        weights[id] = 0;
      }
      kept += weights[id];
    }
    total = kept;
  }

  /** The part of the total that top_p asks for; at least one unit, so that one token stays. */
  private long share(float topP) {
    return Math.max(1, (long) Math.ceil(topP * (double) total));
  }

  private void weighIntoBuckets(float max, double scale, long least) {
    Arrays.fill(bucketCounts, 0);
    Arrays.fill(bucketWeights, 0);
    long sum = 0;
    for (int id = 0; id < weights.length; id++) {
      double steps = ((double) logits[offset + id] - max) * scale;
      long weight = FixedExp.weight(steps);
      if (weight == 0 || weight < least) {
        weights[id] = 0;
        buckets[id] = NONE;
        continue;
      }
      int bucket = FixedExp.bucket(steps);
      weights[id] = weight;
      buckets[id] = (short) bucket;
      bucketCounts[bucket]++;
      bucketWeights[bucket] += weight;
      sum += weight;
    }
    total = sum;
  }

  /**
   * Keeps tokens in order for as long as the measure (count or weight) of those before is below
   * {@code target}. Weights of whole buckets that fall away stay in the array; the caller clears
   * them once after all cuts.
   *
   * @param last the last bucket that is still in
   * @return the same after the cut
   */
  private int cut(int last, long target, boolean byWeight) {
    long before = 0;
    long sum = 0;
    for (int bucket = 0; bucket <= last; bucket++) {
      long measure = byWeight ? bucketWeights[bucket] : bucketCounts[bucket];
      if (before + measure < target) {
        before += measure;
        sum += bucketWeights[bucket];
        continue;
      }
      if (before + measure > target) {
        cutWithin(bucket, target - before, byWeight);
      }
      total = sum + bucketWeights[bucket];
      return bucket;
    }
    return last;
  }

  /** Cuts through one bucket. {@code target} is at least 1 and below the bucket's measure. */
  private void cutWithin(int bucket, long target, boolean byWeight) {
    int count = 0;
    for (int id = 0; id < buckets.length; id++) {
      if (buckets[id] == bucket) {
        members[count] = id;
        keys[count] = keyOf(id);
        count++;
      }
    }
    long lastKey = lastKept(count, target, byWeight);
    for (int i = 0; i < count; i++) {
      int id = members[i];
      if (keyOf(id) > lastKey) {
        bucketCounts[bucket]--;
        bucketWeights[bucket] -= weights[id];
        weights[id] = 0;
        buckets[id] = NONE;
      }
    }
  }

  /**
   * The smallest of the first {@code count} keys up to which the keys measure at least {@code
   * target} in sum. Radix selection from the top byte down; each round keeps one of 256 parts.
   */
  private long lastKept(int count, long target, boolean byWeight) {
    for (int shift = Long.SIZE - 8; count > 32; shift -= 8) {
      Arrays.fill(digits, 0);
      for (int i = 0; i < count; i++) {
        digits[digit(keys[i], shift)] += measure(keys[i], byWeight);
      }
      int part = 0;
      while (digits[part] < target) {
        target -= digits[part++];
      }
      int kept = 0;
      for (int i = 0; i < count; i++) {
        if (digit(keys[i], shift) == part) {
          keys[kept++] = keys[i];
        }
      }
      count = kept;
    }
    Arrays.sort(keys, 0, count);
    int i = 0;
    while (measure(keys[i], byWeight) < target) {
      target -= measure(keys[i++], byWeight);
    }
    return keys[i];
  }

  private long keyOf(int id) {
    return Order.key(logits[offset + id], id);
  }

  /** A byte of the key, numbered so that the order of the digits is that of the signed keys. */
  private static int digit(long key, int shift) {
    return (int) ((key ^ Long.MIN_VALUE) >>> shift) & 0xFF;
  }

  private long measure(long key, boolean byWeight) {
    return byWeight ? weights[Order.id(key)] : 1;
  }
}
