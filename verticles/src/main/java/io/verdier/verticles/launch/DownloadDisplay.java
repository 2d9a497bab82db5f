package io.verdier.verticles.launch;

import io.verdier.cache.artifact.DownloadProgress;
import java.io.Console;
import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Shows how far a download is: as a bar that grows on a terminal, as a line now and then in a log.
 * Thread-safe: under the object's lock.
 */
final class DownloadDisplay implements DownloadProgress {
  /** Small adapters come by the hundred. */
  private static final long LOGGED_BYTES_MIN = 4L << 20;

  private static final Logger LOG = LoggerFactory.getLogger(DownloadDisplay.class);
  private static final long LINE_NANOS = 10_000_000_000L;
  private static final long BAR_NANOS = 100_000_000L;
  private static final int BAR_CHARS = 30;

  private final LongSupplier nanos;
  private final boolean isTerminal;
  private final PrintStream terminal;
  private String artifact = "";
  private long beginNanos;
  private long beginBytes;
  private long shownNanos;
  private boolean finished;

  DownloadDisplay(LongSupplier nanos, boolean isTerminal, PrintStream terminal) {
    this.nanos = nanos;
    this.isTerminal = isTerminal;
    this.terminal = terminal;
  }

  /** For this process. */
  @SuppressWarnings("SystemConsoleNull") // JDK 25 returns null again where there is no terminal
  static DownloadDisplay choose() {
    Console console = System.console();
    boolean isTerminal = console != null && console.isTerminal();
    return new DownloadDisplay(System::nanoTime, isTerminal, System.err);
  }

  @Override
  public synchronized void onBytes(String name, long done, long total) {
    long now = nanos.getAsLong();
    if (!name.equals(artifact) || (finished && done < total)) {
      artifact = name;
      beginNanos = now;
      beginBytes = done;
      shownNanos = now - LINE_NANOS;
      finished = false;
    }
    boolean last = done >= total && !finished;
    boolean due = now - shownNanos >= (isTerminal ? BAR_NANOS : LINE_NANOS);
    if (last || (!finished && due)) {
      shownNanos = now;
      finished = last;
      show(done, total, now);
    }
  }

  private void show(long done, long total, long now) {
    double seconds = Math.max(1e-3, (now - beginNanos) / 1e9);
    double share = total == 0 ? 1 : (double) done / total;
    String text =
        String.format(
            Locale.ROOT,
            "%s: %3.0f %%, %.1f of %.1f MiB, %.1f MiB/s",
            artifact,
            share * 100,
            done / 1048576.0,
            total / 1048576.0,
            (done - beginBytes) / 1048576.0 / seconds);
    if (!isTerminal) {
      if (total >= LOGGED_BYTES_MIN) {
        LOG.info("Fetching {}", text);
      } else {
        LOG.debug("Fetching {}", text);
      }
      return;
    }
    int full = (int) Math.round(share * BAR_CHARS);
    String bar = "#".repeat(full) + ".".repeat(BAR_CHARS - full);
    // Over the line before; the rest of a longer one is blanked.
    terminal.print("\r[" + bar + "] " + text + "  ");
    if (finished) {
      terminal.println();
    }
    terminal.flush();
  }
}
