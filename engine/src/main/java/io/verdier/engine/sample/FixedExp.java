package io.verdier.engine.sample;

/**
 * The exponential function as a 64-bit integer: {@code weight ≈ 2^43 · exp(x)} for {@code x ≤ 0}.
 *
 * <p>Two reasons not to use {@link Math#exp}: its bits may differ between the interpreter, the
 * compilers and processors, and sums of its results depend on the order of summation. Here every
 * step is an IEEE operation or integer arithmetic, so that the same logit gives the same weight
 * everywhere, and integer sums are exact in any order. {@link StrictMath#exp} would have the first
 * property, at ten times the cost.
 *
 * <p>{@code exp(x) = 2^(t/64)} with {@code t = x · 64/ln 2}. With {@code n} the integer nearest to
 * {@code t}, {@code n = 64q + j} and {@code r = t - n}, the result is {@code 2^q · 2^(j/64) ·
 * 2^(r/64)}: a shift, a table of 64 entries and a polynomial of degree 4 (relative error 4e-14,
 * about the grain of the result). {@code -n} is also a monotone class of the logit, see {@link
 * #bucket}.
 */
final class FixedExp {
  /** Weight of the largest logit. Half a million of them fit a {@code long}. */
  static final long ONE = 1L << 43;

  /** Most tokens whose weights can be summed without overflow. */
  static final int TERMS_MAX = 1 << 19;

  /** Values of {@link #bucket} where the weight is not 0 are below this. */
  static final int BUCKETS = 43 * 64 + 1;

  private static final double STEPS = 92.33248261689366; // 64 / ln 2
  private static final double LOWEST = -(BUCKETS - 0.5);

  // Taylor coefficients of 2^(r/64) in r: (ln 2 / 64)^k / k!
  private static final double LN2_64 = 0.010830424696249145; // ln 2 / 64
  private static final double C2 = LN2_64 * LN2_64 / 2;
  private static final double C3 = LN2_64 * LN2_64 * LN2_64 / 6;
  private static final double C4 = LN2_64 * LN2_64 * LN2_64 * LN2_64 / 24;
  private static final double[] TABLE = table(); // [64] 2^43 · 2^(j/64)

  /** Added and taken away again, rounds a small double to an integer, which its low bits show. */
  private static final double ROUND = 0x1.8p52;

  private FixedExp() {}

  private static double[] table() {
    double[] table = new double[64];
    for (int j = 0; j < table.length; j++) {
      table[j] = ONE * StrictMath.pow(2, j / 64.0);
    }
    return table;
  }

  /** Factor from a logit difference to steps, the unit of {@link #weight}. */
  static double scale(double temperature) {
    return STEPS / temperature;
  }

  /** Weight of a logit {@code steps} below the largest. NaN and what is too small give 0. */
  static long weight(double steps) {
    if (!(steps > LOWEST)) {
      return 0;
    }
    double shifted = steps + ROUND;
    int n = (int) Double.doubleToRawLongBits(shifted);
    double r = steps - (shifted - ROUND);
    double power = 1 + r * (LN2_64 + r * (C2 + r * (C3 + r * C4)));
    long one = Double.doubleToRawLongBits(TABLE[n & 63] * power + 0x1p52) & ((1L << 52) - 1);
    return one >> -(n >> 6);
  }

  /**
   * Class of a logit {@code steps} below the largest: a larger logit never has a larger bucket.
   * Only defined where {@link #weight} is not 0.
   */
  static int bucket(double steps) {
    return -(int) Double.doubleToRawLongBits(steps + ROUND);
  }
}
