package io.verdier.engine.sample;

/**
 * What turns the logits of one row into log probabilities: the logarithm of the sum of their
 * exponentials. Immutable. Apart from {@link Sampler} because a device sums the weights itself and
 * leaves the one logarithm of a row to the host, where its bits are known.
 */
public record LogSum(double value) {
  /**
   * @param max the largest logit of the row
   * @param weights sum over the row of {@link FixedExp#weight} at temperature 1
   */
  public static LogSum of(float max, long weights) {
    // StrictMath has the same bits everywhere; once a row it costs nothing.
    return new LogSum(max + StrictMath.log((double) weights / FixedExp.ONE));
  }

  /** The log probability of a token with this logit. */
  public float logprob(float logit) {
    return (float) (logit - value);
  }
}
