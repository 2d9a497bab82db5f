package io.verdier.verticles.launch;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** What a person at a terminal sees of a download. */
class DownloadDisplayTest {
  private final AtomicLong nanos = new AtomicLong();
  private final ByteArrayOutputStream screen = new ByteArrayOutputStream();

  private DownloadDisplay display(boolean isTerminal) {
    PrintStream out = new PrintStream(screen, true, StandardCharsets.UTF_8);
    return new DownloadDisplay(nanos::get, isTerminal, out);
  }

  @Test
  void onBytes_terminal_drawsABarTenTimesASecondAndEndsItsLine() {
    DownloadDisplay display = display(true);
    for (int i = 0; i <= 100; i++) {
      nanos.addAndGet(10_000_000);
      display.onBytes("gs://b/m", i << 20, 100 << 20);
    }
    display.onBytes("gs://b/m", 100 << 20, 100 << 20);
    String shown = screen.toString(StandardCharsets.UTF_8);
    assertThat(shown.split("\r")).hasSizeBetween(10, 13);
    assertThat(shown)
        .contains("[###############...............] gs://b/m:  50 %, 50.0 of 100.0 MiB")
        .endsWith("100 %, 100.0 of 100.0 MiB, 100.0 MiB/s  " + System.lineSeparator());
    assertThat(shown.split("\n")).hasSize(1);
  }

  @Test
  void onBytes_noTerminal_writesNothingThere() {
    display(false).onBytes("gs://b/m", 1, 2);
    assertThat(screen.size()).isZero();
  }
}
