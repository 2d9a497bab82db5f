package io.verdier.engine.sample;

/**
 * Counter-based random numbers: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy
 * as 1, 2, 3" (SC 2011). Stateless: a number is a function of a key and a counter and of nothing
 * else. That is why a sequence that is preempted, or moved to another machine, draws the same
 * numbers again without anyone carrying a generator along.
 */
final class Philox {
  private static final int MULTIPLIER_0 = 0xD2511F53;
  private static final int MULTIPLIER_1 = 0xCD9E8D57;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;
  private static final int ROUNDS = 10;

  private Philox() {}

  /** 64 uniform bits for the token at {@code position} of a sequence with this seed. */
  static long bits(long seed, long position) {
    int low = (int) position;
    int high = (int) (position >>> 32);
    return (long) word(low, high, 0, 0, seed, 1) << 32
        | (word(low, high, 0, 0, seed, 0) & 0xFFFFFFFFL);
  }

  /** One of the four output words that belong to this counter and key. */
  static int word(int c0, int c1, int c2, int c3, long key, int index) {
    int k0 = (int) key;
    int k1 = (int) (key >>> 32);
    for (int round = 0; round < ROUNDS; round++) {
      long product0 = (MULTIPLIER_0 & 0xFFFFFFFFL) * (c0 & 0xFFFFFFFFL);
      long product1 = (MULTIPLIER_1 & 0xFFFFFFFFL) * (c2 & 0xFFFFFFFFL);
      c0 = (int) (product1 >>> 32) ^ c1 ^ k0;
      c1 = (int) product1;
      c2 = (int) (product0 >>> 32) ^ c3 ^ k1;
      c3 = (int) product0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    return switch (index) {
      case 0 -> c0;
      case 1 -> c1;
      case 2 -> c2;
      default -> c3;
    };
  }
}
