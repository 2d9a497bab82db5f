package io.verdier.engine.schedule;

import io.verdier.cache.kv.KvCacheManager;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.schedule.StepOutput.Fault;
import java.util.Arrays;
import java.util.Optional;

/**
 * When a sequence may not begin, and when it ends. Immutable.
 *
 * <p>Both are functions of the sequence alone and never of who else is running, or the same request
 * would give other tokens in a batch. That is why a sequence may grow to what the <i>whole</i> pool
 * holds and then ends with {@link FinishReason#LENGTH}, just as at the model's length: whatever is
 * shorter can always be finished, if need be alone.
 */
final class SequenceRules {
  private final int[] endTokens; // sorted
  private final int modelTokensMax;
  private final int tokensMax; // the smaller of the model's length and the pool
  private final int blockCount;
  private final int blockTokens;

  /** Why a sequence ends, and by which of the request's own stop tokens: -1 for none. */
  record Ending(FinishReason reason, int stopToken) {
    private static final Optional<Ending> LENGTH = Optional.of(new Ending(FinishReason.LENGTH, -1));
    private static final Optional<Ending> REPETITION =
        Optional.of(new Ending(FinishReason.REPETITION, -1));
    static final Optional<Ending> MODEL_END = Optional.of(new Ending(FinishReason.STOP, -1));
  }

  SequenceRules(SchedulerSettings settings, KvCacheManager kv) {
    endTokens = settings.endTokens();
    modelTokensMax = settings.modelTokensMax();
    tokensMax = (int) Math.min(modelTokensMax, kv.capacityTokens());
    blockCount = kv.blockCount();
    blockTokens = kv.blockTokens();
  }

  /** Why the request can never be served, empty when it can. */
  Optional<Fault> refusal(EngineRequest request) {
    int tokens = request.tokens().length;
    if (request.promptTokens() < 1 || request.promptTokens() > tokens) {
      return invalid(
          "The prompt is empty; at least 1 token is needed. Send a prompt with some text.");
    }
    int generated = tokens - request.promptTokens();
    boolean generates = request.sampling().maxTokens() > 0;
    int needed = generates ? tokens + 1 : tokens;
    if (generated > 0 || needed <= tokensMax) {
      return Optional.empty(); // what has grown here from elsewhere ends by length, see endOf
    }
    String prompt =
        "The prompt has %d tokens".formatted(tokens)
            + (generates ? " and at least 1 must be generated" : "");
    if (needed > modelTokensMax) {
      return invalid(
          "%s; this model accepts %d in all. Shorten the prompt or start the server with a larger --max-model-len."
              .formatted(prompt, modelTokensMax));
    }
    return invalid(
        "%s, which takes %d cache blocks of %d tokens; the KV cache has %d. Shorten the prompt or start the server with a larger --kv-cache-memory-bytes or --num-gpu-blocks-override."
            .formatted(prompt, Math.ceilDiv(needed, blockTokens), blockTokens, blockCount));
  }

  /** How many tokens the sequence can have at most, prompt and generated together. */
  int lengthMax(EngineRequest request) {
    return (int)
        Math.min((long) request.promptTokens() + request.sampling().maxTokens(), tokensMax);
  }

  /** The refusal of a request whose key is in use. */
  static Fault duplicate(long key) {
    return new Fault(
        ErrorCode.INVALID_ARGUMENT,
        "Sequence %d is being served already; the one that came first goes on. Send each request under a key of its own."
            .formatted(key));
  }

  /** As {@link #endOf(EngineRequest, int[], int)}. */
  Optional<Ending> endOf(Sequence sequence) {
    return endOf(sequence.request(), sequence.tokens(), sequence.known());
  }

  /**
   * Whether a sequence whose known tokens are these has ended.
   *
   * <p>Stop tokens are looked at before lengths: an answer whose last allowed token ends it is
   * complete. So is one that is held to something, wherever it says an end token: it could not say
   * one elsewhere, and there is nothing to go on with.
   */
  Optional<Ending> endOf(EngineRequest request, int[] tokens, int known) {
    SamplingParams sampling = request.sampling();
    int generated = known - request.promptTokens();
    if (generated > 0) {
      int last = tokens[known - 1];
      boolean endsItself = !sampling.ignoreEos() || request.guide() != null;
      if (endsItself && contains(endTokens, last)) {
        return Ending.MODEL_END;
      }
      if (contains(sampling.stopTokenIds(), last)) {
        return Optional.of(new Ending(FinishReason.STOP, last));
      }
    }
    if (generated >= sampling.maxTokens() || known >= tokensMax) {
      return Ending.LENGTH;
    }
    return sampling.repetition().ends(tokens, request.promptTokens(), known)
            && generated >= sampling.minTokens()
        ? Ending.REPETITION
        : Optional.empty();
  }

  /** Whether a token ends an answer that is not held to anything. */
  boolean isEnd(SamplingParams sampling, int token) {
    return (!sampling.ignoreEos() && contains(endTokens, token))
        || contains(sampling.stopTokenIds(), token);
  }

  private static boolean contains(int[] sorted, int value) {
    return sorted.length > 0 && Arrays.binarySearch(sorted, value) >= 0;
  }

  private static Optional<Fault> invalid(String text) {
    return Optional.of(new Fault(ErrorCode.INVALID_ARGUMENT, text));
  }
}
