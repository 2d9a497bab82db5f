package io.verdier.cache.kv;

import java.util.function.LongConsumer;

/** Runs a property over seeds 1, 2, 3 …; {@code -Dseed=} replays one. */
final class Seeds {
  private Seeds() {}

  static void each(int count, LongConsumer property) {
    Long only = Long.getLong("seed");
    long last = only == null ? count : only;
    for (long seed = only == null ? 1 : only; seed <= last; seed++) {
      try {
        property.accept(seed);
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError(
            "seed %d (replay with -Dseed=%d): %s".formatted(seed, seed, e.getMessage()), e);
      }
    }
  }
}
