package io.verdier.verticles.bench;

import java.util.Random;

/** When requests are sent. Stateless. */
final class Arrivals {
  private Arrivals() {}

  /**
   * Offsets from the start, ascending, the first 0. Gaps follow a gamma distribution with mean
   * {@code 1 / rate}; shape 1 makes a Poisson process, less comes in bursts, more evenly.
   *
   * @param rate per second; infinite: all at once
   * @return nanoseconds, one per request
   */
  static long[] offsetsNanos(int count, double rate, double shape, Random random) {
    long[] offsets = new long[count];
    if (Double.isInfinite(rate)) {
      return offsets;
    }
    double seconds = 0;
    for (int i = 1; i < count; i++) {
      seconds += gamma(shape, random) / (rate * shape);
      offsets[i] = (long) (seconds * 1e9);
    }
    return offsets;
  }

  /** Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). */
  static double gamma(double shape, Random random) {
    if (shape < 1) {
      double below = 1 - random.nextDouble();
      return gamma(shape + 1, random) * Math.pow(below, 1 / shape);
    }
    double d = shape - 1.0 / 3;
    double c = 1 / Math.sqrt(9 * d);
    while (true) {
      double x = random.nextGaussian();
      double v = Math.pow(1 + c * x, 3);
      double u = 1 - random.nextDouble();
      if (v > 0 && Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) {
        return d * v;
      }
    }
  }
}
