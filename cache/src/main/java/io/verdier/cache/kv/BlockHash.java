package io.verdier.cache.kv;

/**
 * Names the contents of a full block: all tokens from the sequence's first to the block's last, and
 * the keys that separate one cache from another. Immutable.
 *
 * <p>All 256 bits of SHA-256 are kept. Two prompts with one name would make one tenant read the
 * other's conversation, tokens are chosen by strangers, and the work to find a collision is the
 * square root of the space: 2<sup>64</sup> would do for 128 bits. The wider value costs 16 bytes a
 * block and no time that can be measured, since the digest is computed whole either way.
 */
public record BlockHash(long a, long b, long c, long d) {

  /** Any 32 bits of a digest spread as well as all of them. */
  @Override
  public int hashCode() {
    return (int) a;
  }
}
