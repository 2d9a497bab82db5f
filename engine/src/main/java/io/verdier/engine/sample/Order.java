package io.verdier.engine.sample;

/**
 * The one order of tokens: larger logits first, and of equal logits the lower id first. A token's
 * place is packed into a {@code long} so that selecting needs no comparator: smaller key, earlier
 * token.
 */
final class Order {
  private Order() {}

  static long key(float logit, int id) {
    int bits = Float.floatToRawIntBits(logit + 0f); // -0 and 0 are equal logits
    int ascending = bits ^ ((bits >> 31) & Integer.MAX_VALUE);
    return (long) ~ascending << 32 | id;
  }

  static int id(long key) {
    return (int) key;
  }
}
