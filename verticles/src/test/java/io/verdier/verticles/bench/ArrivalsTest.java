package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ArrivalsTest {

  @Test
  void offsets_infiniteRate_areZero() {
    long[] offsets = Arrivals.offsetsNanos(3, Double.POSITIVE_INFINITY, 1, new Random(1));
    assertThat(offsets).containsExactly(0, 0, 0);
  }

  @Test
  void offsets_anyShape_keepTheRate() {
    for (double shape : new double[] {0.25, 1, 4, 100}) {
      long[] offsets = Arrivals.offsetsNanos(40_001, 50, shape, new Random(1));
      assertThat(offsets).isSorted().startsWith(0);
      double[] gaps = new double[40_000];
      for (int i = 0; i < gaps.length; i++) {
        gaps[i] = (offsets[i + 1] - offsets[i]) / 1e9;
      }
      double mean = Arrays.stream(gaps).average().orElseThrow();
      double variance =
          Arrays.stream(gaps).map(gap -> (gap - mean) * (gap - mean)).average().orElseThrow();
      assertThat(mean).isCloseTo(0.02, within(0.02 * 0.05));
      // The squared coefficient of variation of a gamma distribution is one over its shape.
      assertThat(variance / (mean * mean) * shape).isCloseTo(1, within(0.1));
    }
  }

  @Test
  void offsets_sameSeed_areTheSame() {
    assertThat(Arrivals.offsetsNanos(50, 3, 0.5, new Random(9)))
        .isEqualTo(Arrivals.offsetsNanos(50, 3, 0.5, new Random(9)));
  }
}
