package io.verdier.engine.backend;

import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.sample.RowResults;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenMask;
import org.jspecify.annotations.Nullable;

/**
 * Chooses and scores tokens where the logits are, so that a step brings back a few numbers per row
 * instead of the whole vocabulary. Owned by the executor thread.
 *
 * <p>Rows are worked through in chunks: {@link #begin}, one request per row in order, {@link
 * Chunk#run}, then the results by index in the chunk. Every result is {@link
 * io.verdier.engine.sample.Sampler}'s to the bit, and so is every exception; one row's exception
 * says nothing about the others.
 */
public interface DeviceSampler {

  /** Most rows of a chunk. */
  int rowsMax();

  /** Begins a chunk; results of the last but one are gone. */
  Chunk begin(int rows);

  /** Lets go of what is remembered about a sequence; nothing, for most. */
  void forget(TokenHistory history);

  /**
   * Some rows, what is asked of them, and what came of it: {@link
   * io.verdier.engine.sample.Sampler}'s results. Owned by the executor thread.
   */
  interface Chunk extends RowResults {

    /**
     * Asks for the token that follows a history.
     *
     * @param history appended to by the caller once the token is accepted; the sampler may remember
     *     the object until {@link #forget}
     * @param mask what a constraint lets follow, as it is until the token is accepted; null:
     *     anything
     */
    void choose(TokenHistory history, SamplingParams params, @Nullable TokenMask mask);

    /** As {@link #choose(TokenHistory, SamplingParams, TokenMask)}, without a mask. */
    default void choose(TokenHistory history, SamplingParams params) {
      choose(history, params, null);
    }

    /** Asks for the log probabilities of a token and of the {@code topCount} most probable ones. */
    void score(int token, int topCount);

    /**
     * Multiplies, and answers the requests from the product. Queues all of it, and waits for
     * nothing.
     *
     * @param in one row per request
     * @param weight {@code [vocabulary, columns]}
     */
    void run(Operand in, Matrix weight);

    /**
     * The same, where adapters add to the product.
     *
     * @param batch whose selected rows are those of {@code in}
     */
    void run(Operand in, Matrix weight, LoraTarget target, AttentionBatch batch);

    /**
     * As {@link #run(Operand, Matrix)}, from a product that is there.
     *
     * @param logits {@code [requests, vocabulary]}
     */
    void run(Tensor logits);
  }
}
