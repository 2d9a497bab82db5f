package io.verdier.engine.backend;

import io.verdier.engine.backend.Backend.Matrix;
import io.verdier.engine.sample.Sampled;
import io.verdier.engine.sample.SamplingParams;
import io.verdier.engine.sample.TokenHistory;
import io.verdier.engine.sample.TokenLogprobs;

/**
 * Chooses and scores tokens where the logits are, so that a step brings back a few numbers per row
 * instead of the whole vocabulary. Owned by the executor thread.
 *
 * <p>Rows are worked through in chunks: {@link #begin}, one request per row in order, {@link #run},
 * then the results by index in the chunk. Every result is {@link
 * io.verdier.engine.sample.Sampler}'s to the bit, and so is every exception; one row's exception
 * says nothing about the others.
 */
public interface DeviceSampler {

  /** Most rows of a chunk. */
  int rowsMax();

  /** Begins a chunk; results of the last one are gone. */
  void begin(int rows);

  /**
   * Asks for the token that follows a history.
   *
   * @param history appended to by the caller once the token is accepted; the sampler may remember
   *     the object until {@link #forget}
   */
  void choose(TokenHistory history, SamplingParams params);

  /** Asks for the log probabilities of a token and of the {@code topCount} most probable ones. */
  void score(int token, int topCount);

  /**
   * Multiplies, and answers the chunk's requests from the product. Returns when it is done.
   *
   * @param in one row per request
   * @param weight {@code [vocabulary, columns]}
   */
  void run(Operand in, Matrix weight);

  /**
   * As {@link #run(Operand, Matrix)}, from a product that is there.
   *
   * @param logits {@code [requests, vocabulary]}
   */
  void run(Tensor logits);

  /**
   * What {@link #choose} asked for.
   *
   * @throws IllegalStateException as {@link io.verdier.engine.sample.Sampler#sample}
   * @throws io.verdier.engine.RejectedException likewise
   */
  Sampled sampled(int index);

  /**
   * What {@link #score} asked for.
   *
   * @throws IllegalStateException as {@link io.verdier.engine.sample.Sampler#score}
   */
  TokenLogprobs scored(int index);

  /** Lets go of what is remembered about a sequence; nothing, for most. */
  void forget(TokenHistory history);
}
