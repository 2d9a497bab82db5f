package io.verdier.verticles.bus;

/**
 * How a sequence's key is made: the HTTP instance that waits for it, then a counter. So whoever
 * holds a key knows whom to answer.
 *
 * <pre>
 *   63      48 47      40 39                0
 *   [ node   ] [ instance ] [ counter       ]
 * </pre>
 */
public final class SequenceKey {
  private static final long COUNTER_MASK = (1L << 40) - 1;

  private SequenceKey() {}

  /**
   * @param node number of the node in its cluster, 0 to 32767
   * @param instance number of the HTTP instance in its node, 0 to 255
   * @param counter of the instance
   */
  public static long of(int node, int instance, long counter) {
    if (node < 0 || node > 0x7fff || instance < 0 || instance > 0xff) {
      throw new IllegalArgumentException("node " + node + ", instance " + instance);
    }
    return ((long) node << 48) | ((long) instance << 40) | (counter & COUNTER_MASK);
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
