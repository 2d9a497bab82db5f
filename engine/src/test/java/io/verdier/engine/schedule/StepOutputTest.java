package io.verdier.engine.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.cache.host.TierCounts;
import io.verdier.engine.schedule.StepOutput.Stats;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is derived from a step's counts. */
class StepOutputTest {
  /** The disk has what the host has, too. */
  @ParameterizedTest
  @CsvSource({"100,0,0,1600", "100,40,0,2240", "100,40,900,16000", "100,40,30,2240"})
  void cachedTokensMax_ofTiers_isThatOfTheDeviceAndTheLargestBehindIt(
      int device, int host, int disk, long tokens) {
    Stats stats = new Stats(0, 0, 0, 0, device, 0, 0, 0, 0, 0, tier(host), tier(disk), tier(0));
    assertThat(stats.cachedTokensMax(16)).isEqualTo(tokens);
  }

  private static TierCounts tier(int slots) {
    return new TierCounts(0, 0, 0, 0, 0, 0, 0, 0, slots);
  }
}
