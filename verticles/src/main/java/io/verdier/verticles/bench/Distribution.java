package io.verdier.verticles.bench;

import java.util.Arrays;

/**
 * Samples of one quantity, sorted. Immutable.
 *
 * @param sorted ascending; may be empty, and then every figure is 0
 */
public record Distribution(double[] sorted) {

  public static Distribution of(double[] samples) {
    double[] sorted = samples.clone();
    Arrays.sort(sorted);
    return new Distribution(sorted);
  }

  double mean() {
    return Arrays.stream(sorted).average().orElse(0);
  }

  public double median() {
    return percentile(50);
  }

  /** Of the samples themselves, not an estimate for what they were drawn from. */
  double standardDeviation() {
    double mean = mean();
    return Math.sqrt(
        Arrays.stream(sorted).map(value -> (value - mean) * (value - mean)).average().orElse(0));
  }

  /** Between two samples, linear: what numpy calls {@code linear}, and vLLM prints. */
  public double percentile(double percent) {
    if (sorted.length == 0) {
      return 0;
    }
    double place = percent / 100 * (sorted.length - 1);
    int below = (int) place;
    int above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  }

  Distribution minus(double amount) {
    return new Distribution(Arrays.stream(sorted).map(value -> value - amount).toArray());
  }
}
