package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class FixedExpTest {

  @Test
  void weight_zero_isOne() {
    assertThat(FixedExp.weight(0)).isEqualTo(FixedExp.ONE);
    assertThat(FixedExp.bucket(0)).isZero();
  }

  @Test
  void weight_wholeRange_agreesWithStrictMath() {
    double scale = FixedExp.scale(1);
    for (double x = 0; x > -35; x -= 0.000_37) {
      double exact = FixedExp.ONE * StrictMath.exp(x);
      // One unit for truncation, and the polynomial's relative error.
      assertThat((double) FixedExp.weight(x * scale))
          .as("x = %s", x)
          .isCloseTo(exact, within(1.5 + exact * 1e-13));
    }
  }

  @Test
  void weight_belowRange_isZero() {
    assertThat(FixedExp.weight(-FixedExp.BUCKETS)).isZero();
    assertThat(FixedExp.weight(-1e9)).isZero();
    assertThat(FixedExp.weight(-1e300)).isZero();
    assertThat(FixedExp.weight(Double.NEGATIVE_INFINITY)).isZero();
    assertThat(FixedExp.weight(Double.NaN)).isZero();
  }

  @Test
  void bucket_fallingLogit_neverFallsAndStaysInRange() {
    int last = 0;
    for (double steps = 0; FixedExp.weight(steps) > 0; steps -= 0.013) {
      int bucket = FixedExp.bucket(steps);
      assertThat(bucket).isBetween(last, FixedExp.BUCKETS - 1);
      last = bucket;
    }
    assertThat(last).isEqualTo(FixedExp.BUCKETS - 1);
  }

  @Test
  void scale_temperature_dividesTheLogit() {
    assertThat(FixedExp.weight(-3 * FixedExp.scale(2)))
        .isEqualTo(FixedExp.weight(-1.5 * FixedExp.scale(1)));
  }

  @Test
  void termsMax_weightsOfOne_fitALong() {
    assertThat(Math.multiplyHigh(FixedExp.ONE, FixedExp.TERMS_MAX)).isZero();
    assertThat(FixedExp.ONE * FixedExp.TERMS_MAX).isPositive();
  }
}
