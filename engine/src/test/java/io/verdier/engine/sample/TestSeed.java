package io.verdier.engine.sample;

import java.util.Random;

/** Random inputs that can be had again: prints the seed, takes {@code -Dseed=}. */
public final class TestSeed {
  private TestSeed() {}

  public static Random random(String property) {
    long seed = Long.getLong("seed", 20261123);
    System.out.println(property + ": -Dseed=" + seed);
    return new Random(seed);
  }
}
