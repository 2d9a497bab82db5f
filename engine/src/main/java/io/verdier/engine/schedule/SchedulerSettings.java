package io.verdier.engine.schedule;

import io.verdier.conf.ServerConfig.Policy;
import java.util.Arrays;

/**
 * What bounds and orders the steps. Immutable.
 *
 * @param batchedTokensMax token budget of a step, ≥ 1
 * @param sequencesMax sequences running at once, ≥ 1
 * @param longPrefillTokens most tokens of one sequence in a step, 0: no bound below the budget
 * @param policy order in which sequences are served
 * @param modelTokensMax tokens of a sequence, prompt and generated together, ≥ 1
 * @param endTokens ids by which the model ends its answer
 * @param prefixCaching whether full blocks are shared by content
 * @param plansMax plans that the executor may have at once: 1, or 2 where a device works on one
 *     while the next is made
 * @param adaptersMax different adapters of running sequences, at least 1 where there may be any
 */
public record SchedulerSettings(
    int batchedTokensMax,
    int sequencesMax,
    int longPrefillTokens,
    Policy policy,
    int modelTokensMax,
    int[] endTokens,
    boolean prefixCaching,
    int plansMax,
    int adaptersMax) {

  /** One adapter at a time. */
  public SchedulerSettings(
      int batchedTokensMax,
      int sequencesMax,
      int longPrefillTokens,
      Policy policy,
      int modelTokensMax,
      int[] endTokens,
      boolean prefixCaching,
      int plansMax) {
    this(
        batchedTokensMax,
        sequencesMax,
        longPrefillTokens,
        policy,
        modelTokensMax,
        endTokens,
        prefixCaching,
        plansMax,
        1);
  }

  /** Likewise, and one plan at a time. */
  public SchedulerSettings(
      int batchedTokensMax,
      int sequencesMax,
      int longPrefillTokens,
      Policy policy,
      int modelTokensMax,
      int[] endTokens,
      boolean prefixCaching) {
    this(
        batchedTokensMax,
        sequencesMax,
        longPrefillTokens,
        policy,
        modelTokensMax,
        endTokens,
        prefixCaching,
        1);
  }

  public SchedulerSettings {
    if (batchedTokensMax < 1 || sequencesMax < 1 || longPrefillTokens < 0 || modelTokensMax < 1) {
      throw new IllegalArgumentException(
          "a step needs room for at least 1 token and 1 sequence: token budget %d, sequences %d, long prefill %d, model length %d"
              .formatted(batchedTokensMax, sequencesMax, longPrefillTokens, modelTokensMax));
    }
    if (adaptersMax < 1) {
      throw new IllegalArgumentException(adaptersMax + " adapters at once");
    }
    if (plansMax < 1 || plansMax > 2) {
      throw new IllegalArgumentException(plansMax + " plans at once; 1 or 2 are possible");
    }
    endTokens = endTokens.clone();
    Arrays.sort(endTokens);
  }

  /** Most tokens of one sequence in one step. */
  int sliceTokensMax() {
    return longPrefillTokens == 0
        ? batchedTokensMax
        : Math.min(longPrefillTokens, batchedTokensMax);
  }
}
