package io.verdier.verticles.bench.offline;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Probe.Rates;
import org.junit.jupiter.api.Test;

class HostProbeTest {

  /** Wide bounds: any machine, however busy, reads and computes at least so fast when compiled. */
  @Test
  void measure_twoThreads_isOfTheRightOrder() {
    Rates rates = new HostProbe(2).measure();

    System.out.println("HostProbeTest: " + rates);
    assertThat(rates.readGbPerS()).isBetween(0.1, 10_000.0);
    assertThat(rates.dotGops()).isBetween(0.1, 100_000.0);
  }
}
