package io.verdier.verticles.bench;

import java.io.Console;
import java.io.PrintStream;
import java.util.Locale;
import java.util.Optional;

/** Owned by the event loop. A bar on the terminal; nothing where there is none. */
final class Progress {
  private static final int WIDTH = 30;

  private final PrintStream err;
  private final boolean shown;

  private Progress(PrintStream err, boolean shown) {
    this.err = err;
    this.shown = shown;
  }

  /** On the standard error, so that a redirected result stays clean. */
  static Progress onTerminal() {
    return new Progress(
        System.err, Optional.ofNullable(System.console()).filter(Console::isTerminal).isPresent());
  }

  boolean isShown() {
    return shown;
  }

  void show(String title, int done, int total, double tokensPerSecond) {
    if (shown) {
      int filled = (int) ((long) WIDTH * done / total);
      String bar = "#".repeat(filled) + "-".repeat(WIDTH - filled);
      err.printf(
          Locale.ROOT, "\r%-9s[%s] %d/%d  %.0f tok/s   ", title, bar, done, total, tokensPerSecond);
      err.flush();
    }
  }

  /** Ends the line. */
  void end() {
    if (shown) {
      err.println();
    }
  }
}
