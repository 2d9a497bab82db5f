package io.verdier.engine.text;

import java.util.Random;

/** Random numbers of property tests: {@code -Dseed=} replays a failure, whose message names it. */
final class SeededRandom {
  static final long SEED = Long.getLong("seed", 20261123);

  private SeededRandom() {}

  static Random of(String property) {
    return new Random(SEED + property.hashCode());
  }
}
