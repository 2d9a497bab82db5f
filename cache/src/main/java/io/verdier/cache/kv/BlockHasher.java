package io.verdier.cache.kv;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.security.DigestException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * Computes block names. Owned by the scheduler thread: one digest and one buffer serve all calls.
 *
 * <pre>
 *   root    = SHA-256( salt length | salt | adapter length | adapter )      UTF-16 units, big-endian
 *   name(0) = SHA-256( root        | tokens of block 0 )                     32 + 4 × blockTokens bytes
 *   name(i) = SHA-256( name(i - 1) | tokens of block i )
 * </pre>
 *
 * The extra keys enter once, through the root, and every later name depends on them through the
 * chain. Lengths stand before the strings so that no two pairs of strings give the same bytes;
 * UTF-16 units are taken as they are because an encoder would map all malformed strings to one.
 */
final class BlockHasher {
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
  private static final int DIGEST_BYTES = 32;

  private final int blockTokens;
  private final MessageDigest digest;
  private final byte[] input;
  private final byte[] output = new byte[DIGEST_BYTES];

  BlockHasher(int blockTokens) {
    this.blockTokens = blockTokens;
    this.input = new byte[DIGEST_BYTES + Integer.BYTES * blockTokens];
    try {
      this.digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("this Java runtime has no SHA-256", e);
    }
  }

  /** What the first block of a sequence hangs from. */
  BlockHash root(String salt, String adapter) {
    digestString(salt);
    digestString(adapter);
    return digested();
  }

  /**
   * @param tokens of the sequence; those of the block begin at {@code from}
   */
  BlockHash next(BlockHash parent, int[] tokens, int from) {
    LONG.set(input, 0, parent.a());
    LONG.set(input, 8, parent.b());
    LONG.set(input, 16, parent.c());
    LONG.set(input, 24, parent.d());
    for (int i = 0; i < blockTokens; i++) {
      INT.set(input, DIGEST_BYTES + Integer.BYTES * i, tokens[from + i]);
    }
    digest.update(input);
    return digested();
  }

  private void digestString(String text) {
    byte[] bytes = new byte[Integer.BYTES + Character.BYTES * text.length()];
    INT.set(bytes, 0, text.length());
    for (int i = 0, at = Integer.BYTES; i < text.length(); i++) {
      char unit = text.charAt(i);
      bytes[at++] = (byte) (unit >> 8);
      bytes[at++] = (byte) unit;
    }
    digest.update(bytes);
  }

  private BlockHash digested() {
    try {
      digest.digest(output, 0, DIGEST_BYTES);
    } catch (DigestException e) {
      throw new IllegalStateException("SHA-256 gave more than " + DIGEST_BYTES + " bytes", e);
    }
    return new BlockHash(
        (long) LONG.get(output, 0),
        (long) LONG.get(output, 8),
        (long) LONG.get(output, 16),
        (long) LONG.get(output, 24));
  }
}
