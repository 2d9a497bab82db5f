package io.verdier.verticles.launch;

import io.verdier.conf.LoadResult;

/** What all commands share: exit statuses and what is said on the terminal. */
final class Command {
  /** The command goes on in other threads. */
  static final int STAYS = -1;

  static final int FAILED = 1;

  /** The command line or configuration is wrong. */
  static final int MISUSED = 2;

  private Command() {}

  static int print(String text) {
    System.out.println(text);
    return 0;
  }

  /** Every problem at once, before anything was started. */
  static int misused(String command, LoadResult.Invalid invalid) {
    invalid
        .problems()
        .forEach(problem -> System.err.printf("verdier %s: %s%n", command, problem.text()));
    return MISUSED;
  }
}
