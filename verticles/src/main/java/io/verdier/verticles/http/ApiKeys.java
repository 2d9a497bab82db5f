package io.verdier.verticles.http;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Immutable. The keys that open the guarded routes.
 *
 * <p>Digests are compared, not keys, in constant time and all of them each time: neither the length
 * of a key nor how much of it was right can be read from a clock.
 */
final class ApiKeys {
  private static final String SCHEME = "bearer ";

  private final List<byte[]> digests;

  ApiKeys(List<String> keys) {
    this.digests = keys.stream().map(ApiKeys::digest).toList();
  }

  /**
   * @param authorization value of the header, null when it is missing or not single
   */
  boolean opens(@Nullable String authorization) {
    if (digests.isEmpty()) {
      return true;
    }
    if (authorization == null
        || authorization.length() <= SCHEME.length()
        || !authorization.substring(0, SCHEME.length()).toLowerCase(Locale.ROOT).equals(SCHEME)) {
      return false;
    }
    return opensPlain(authorization.substring(SCHEME.length()));
  }

  /**
   * @param key without a scheme, null where there is none
   */
  boolean opensPlain(@Nullable String key) {
    if (key == null) {
      return digests.isEmpty();
    }
    byte[] given = digest(key);
    boolean found = digests.isEmpty();
    for (byte[] digest : digests) {
      found |= MessageDigest.isEqual(digest, given);
    }
    return found;
  }

  private static byte[] digest(String key) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible); // every JDK has it
    }
  }
}
