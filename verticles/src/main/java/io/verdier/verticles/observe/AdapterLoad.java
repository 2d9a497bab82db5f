package io.verdier.verticles.observe;

import java.util.Set;

/**
 * Adapters whose sequences the scheduler has, by identity. Immutable.
 *
 * @param waiting of sequences that have not run yet
 * @param running of sequences that have
 */
public record AdapterLoad(Set<String> waiting, Set<String> running) {
  static final AdapterLoad NONE = new AdapterLoad(Set.of(), Set.of());

  public AdapterLoad {
    waiting = Set.copyOf(waiting);
    running = Set.copyOf(running);
  }
}
