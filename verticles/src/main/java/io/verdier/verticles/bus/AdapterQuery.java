package io.verdier.verticles.bus;

import io.verdier.cache.lora.AdapterSource;
import java.util.Arrays;

/**
 * Sequences want an adapter; answered with a {@link Reply} once it lies in host memory, or a {@link
 * Refused}. There it stays until all of them are released by an {@link AdapterRelease}. Not
 * answered at all if that comes first. Immutable.
 *
 * @param keys of the sequences
 */
public record AdapterQuery(long[] keys, AdapterSource source) {

  /**
   * It is there.
   *
   * @param identity as the engine knows it
   */
  public record Reply(String identity) {}

  @Override
  public String toString() {
    return "AdapterQuery[" + Arrays.toString(keys) + ", " + source + "]";
  }
}
