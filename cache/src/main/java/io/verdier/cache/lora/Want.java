package io.verdier.cache.lora;

import java.util.LinkedHashSet;
import java.util.Set;

/**
 * Somebody who waits for an adapter. Owned by the adapter thread.
 *
 * @param <W> who it is
 */
final class Want<W> {
  final W who;
  final AdapterSource source;
  final Set<Long> keys = new LinkedHashSet<>(); // of sequences that still want it

  Want(W who, AdapterSource source, long[] keys) {
    this.who = who;
    this.source = source;
    for (long key : keys) {
      this.keys.add(key);
    }
  }
}
