package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class DistributionTest {

  @Test
  void of_fiveSamples_givesFiguresDoneByHand() {
    Distribution distribution = Distribution.of(new double[] {4, 1, 10, 3, 2});
    assertThat(distribution.mean()).isEqualTo(4);
    assertThat(distribution.median()).isEqualTo(3);
    assertThat(distribution.standardDeviation()).isCloseTo(Math.sqrt(10), within(1e-12));
    assertThat(distribution.percentile(0)).isEqualTo(1);
    assertThat(distribution.percentile(100)).isEqualTo(10);
    assertThat(distribution.percentile(90)).isCloseTo(4 + 0.6 * 6, within(1e-12)); // place 3.6
    assertThat(distribution.percentile(99)).isCloseTo(4 + 0.96 * 6, within(1e-12));
  }

  @Test
  void of_evenCount_medianLiesBetween() {
    assertThat(Distribution.of(new double[] {1, 2, 4, 9}).median()).isEqualTo(3);
  }

  @Test
  void of_oneOrNone_hasNoTrouble() {
    assertThat(Distribution.of(new double[] {7}).percentile(99)).isEqualTo(7);
    assertThat(Distribution.of(new double[] {7}).standardDeviation()).isZero();
    assertThat(Distribution.of(new double[0]).mean()).isZero();
    assertThat(Distribution.of(new double[0]).median()).isZero();
  }

  @Test
  void minus_amount_shiftsEverySample() {
    Distribution added = Distribution.of(new double[] {10.5, 10, 12}).minus(10);
    assertThat(added.median()).isEqualTo(0.5);
    assertThat(added.percentile(100)).isEqualTo(2);
  }
}
