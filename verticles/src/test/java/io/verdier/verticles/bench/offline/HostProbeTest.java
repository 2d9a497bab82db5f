package io.verdier.verticles.bench.offline;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.Probe.Rates;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The probe in a machine of its own: tests run without the optimizing compiler, which it needs. */
class HostProbeTest {

  public static void main(String[] none) {
    Rates rates = new HostProbe(2).measure();
    System.out.printf("%s %s", rates.readGbPerS(), rates.dotGops());
  }

  /** Wide bounds: any machine, however busy, reads and computes at least so fast when compiled. */
  @Test
  void measure_twoThreads_isOfTheRightOrder() throws IOException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "-cp",
                System.getProperty("java.class.path"),
                HostProbeTest.class.getName())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String printed = new String(process.getInputStream().readAllBytes(), UTF_8);

    System.out.println("HostProbeTest: GB/s and Gop/s " + printed);
    String[] rates = printed.split(" ");
    assertThat(Double.parseDouble(rates[0])).isBetween(0.1, 10_000.0);
    assertThat(Double.parseDouble(rates[1])).isBetween(0.1, 100_000.0);
  }
}
