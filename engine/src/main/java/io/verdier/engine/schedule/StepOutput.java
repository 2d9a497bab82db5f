package io.verdier.engine.schedule;

import io.verdier.cache.host.DiskWork;
import io.verdier.cache.host.RemoteWork;
import io.verdier.cache.host.TierCounts;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.TokenLogprobs;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the scheduler decided: the next plan, and what there is to tell about the last one.
 * Immutable.
 *
 * @param emissions at most one per sequence
 * @param diskWork to be done on the disk, beside the steps
 * @param remoteWork to be done at cache nodes, beside the steps
 */
public record StepOutput(
    StepPlan plan,
    List<Emission> emissions,
    Stats stats,
    List<DiskWork> diskWork,
    List<RemoteWork> remoteWork) {

  /** Without work for the disk and cache nodes. */
  public StepOutput(StepPlan plan, List<Emission> emissions, Stats stats) {
    this(plan, emissions, stats, List.of(), List.of());
  }

  /**
   * News of one sequence.
   *
   * @param opened the request, in the sequence's first emission only: whoever reads emissions needs
   *     no other source
   * @param cachedTokens prompt tokens that came from the prefix cache at first scheduling, whatever
   *     the tier
   * @param tokens newly generated
   * @param logprobs one per token, or empty
   * @param promptLogprobs prompt scores complete since the last emission, by position; empty unless
   *     asked for
   * @param pooled {@code [vectors, hidden]} of the prompt's hidden states, with the finish; empty
   *     unless asked for
   * @param finish the end, in the sequence's last emission only
   */
  public record Emission(
      long key,
      @Nullable EngineRequest opened,
      int cachedTokens,
      int[] tokens,
      List<TokenLogprobs> logprobs,
      List<TokenLogprobs> promptLogprobs,
      float[] pooled,
      @Nullable Finish finish) {

    private static final float[] NOTHING = {};

    /** News without hidden states. */
    public Emission(
        long key,
        @Nullable EngineRequest opened,
        int cachedTokens,
        int[] tokens,
        List<TokenLogprobs> logprobs,
        List<TokenLogprobs> promptLogprobs,
        @Nullable Finish finish) {
      this(key, opened, cachedTokens, tokens, logprobs, promptLogprobs, NOTHING, finish);
    }
  }

  /**
   * The end of a sequence.
   *
   * @param stopToken the stop token that ended it, -1 where none did or where it was the model's
   *     own end token
   * @param generatedTokens all generated tokens
   * @param fault why, when {@code reason} is {@link FinishReason#ERROR}
   */
  public record Finish(
      FinishReason reason, int stopToken, int generatedTokens, @Nullable Fault fault) {}

  /** A refusal or failure, fit for the user. */
  public record Fault(ErrorCode code, String text) {}

  /**
   * Counts for the metrics; the counters grow only.
   *
   * @param running sequences holding blocks
   * @param waiting sequences without blocks
   * @param deferred of those, passed over because their adapter has no slot
   * @param blocksUsed blocks held by sequences
   * @param blocksTotal all blocks
   * @param stepTokens tokens in this plan
   * @param preemptions since the start
   * @param prefixQueriedTokens prompt tokens looked up in the device's prefix cache since the start
   * @param prefixHitTokens those found there
   * @param prefixEvictions blocks of it whose contents gave way to others
   * @param host what the host's memory has done for prefixes
   * @param disk what the disk has
   * @param remote what cache nodes have, for this engine
   */
  public record Stats(
      int running,
      int waiting,
      int deferred,
      int blocksUsed,
      int blocksTotal,
      int stepTokens,
      long preemptions,
      long prefixQueriedTokens,
      long prefixHitTokens,
      long prefixEvictions,
      TierCounts host,
      TierCounts disk,
      TierCounts remote) {

    /**
     * Tokens whose keys and values fit: in the KV cache, and behind it in host memory or on the
     * disk, whichever is larger: what is in host memory goes to the disk as well.
     */
    public long cachedTokensMax(int blockTokens) {
      return ((long) blocksTotal + Math.max(host.slots(), disk.slots())) * blockTokens;
    }

    /** Without tiers behind the device. */
    public Stats(
        int running,
        int waiting,
        int deferred,
        int blocksUsed,
        int blocksTotal,
        int stepTokens,
        long preemptions,
        long prefixQueriedTokens,
        long prefixHitTokens) {
      this(
          running,
          waiting,
          deferred,
          blocksUsed,
          blocksTotal,
          stepTokens,
          preemptions,
          prefixQueriedTokens,
          prefixHitTokens,
          0,
          TierCounts.NONE,
          TierCounts.NONE,
          TierCounts.NONE);
    }
  }
}
