package io.verdier.verticles.bus;

/**
 * How a sequence's key is made: the engine that has it, the HTTP instance that waits for it, then a
 * counter. So whoever holds a key knows whom to answer, and who computes.
 *
 * <pre>
 *   63      48 47      40 39                0
 *   [ engine ] [ instance ] [ counter       ]
 * </pre>
 */
public final class SequenceKey {
  private static final long COUNTER_MASK = (1L << 40) - 1;

  private SequenceKey() {}

  /**
   * @param engine number of the engine in its node, 0 to 32767
   * @param instance number of the HTTP instance in its node, 0 to 255
   * @param counter of the instance
   */
  public static long of(int engine, int instance, long counter) {
    if (engine < 0 || engine > 0x7fff || instance < 0 || instance > 0xff) {
      throw new IllegalArgumentException("engine " + engine + ", instance " + instance);
    }
    return ((long) engine << 48) | ((long) instance << 40) | (counter & COUNTER_MASK);
  }

  /** Number of the engine that has this sequence. */
  public static int engine(long key) {
    return (int) (key >>> 48);
  }

  /** Number of the HTTP instance that waits for this sequence. */
  public static int instance(long key) {
    return (int) (key >>> 40) & 0xff;
  }

  /** Which of {@code shards} detokenizers, or tokenizers, has this sequence. */
  public static int shard(long key, int shards) {
    return Math.floorMod(Long.hashCode(key), shards);
  }
}
