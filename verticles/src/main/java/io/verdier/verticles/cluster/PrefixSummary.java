package io.verdier.verticles.cluster;

/**
 * A Bloom filter (Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", 1970) over
 * hashes of prompt prefixes. Immutable once it is sent.
 *
 * <p>4096 prefixes in 32768 bits with four of them each: 2.4 % of those that are not there seem to
 * be, which costs a prefill once in a while; 4 KiB a second and pair of nodes.
 */
final class PrefixSummary {
  static final PrefixSummary EMPTY = new PrefixSummary(new long[0]);
  static final int WORDS = 512;

  private static final int PROBES = 4;

  private final long[] words;

  /**
   * @param words {@link #WORDS} of them, or none
   */
  PrefixSummary(long[] words) {
    if (words.length != WORDS && words.length != 0) {
      throw new WireException("a summary of " + words.length + " words");
    }
    this.words = words;
  }

  static PrefixSummary of(Iterable<Long> prefixes) {
    long[] words = new long[WORDS];
    for (long prefix : prefixes) {
      for (int probe = 0; probe < PROBES; probe++) {
        int bit = bit(prefix, probe);
        words[bit >>> 6] |= 1L << bit;
      }
    }
    return new PrefixSummary(words);
  }

  long[] words() {
    return words;
  }

  /** Whether the prefix is likely there. */
  boolean has(long prefix) {
    if (words.length == 0) {
      return false;
    }
    for (int probe = 0; probe < PROBES; probe++) {
      int bit = bit(prefix, probe);
      if ((words[bit >>> 6] & (1L << bit)) == 0) {
        return false;
      }
    }
    return true;
  }

  /** The prefixes are hashes already: their parts serve as independent ones. */
  private static int bit(long prefix, int probe) {
    return (int) (prefix >>> (15 * probe)) & (WORDS * Long.SIZE - 1);
  }
}
