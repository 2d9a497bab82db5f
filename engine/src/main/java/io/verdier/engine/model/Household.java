package io.verdier.engine.model;

import io.verdier.engine.backend.Backend;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Engines of a process that compute with the same weights. Thread-safe: each of them leaves on its
 * own executor thread, and the last one frees what all of them had.
 *
 * <p>Why not each its own part at once: weights lie in the memory of one of the backends, and a
 * step of another engine may be reading them.
 */
final class Household {
  private final List<Backend> backends; // the one that has the weights comes last
  private final AtomicInteger staying;

  Household(List<Backend> backends) {
    this.backends = List.copyOf(backends);
    staying = new AtomicInteger(backends.size());
  }

  void leave() {
    if (staying.decrementAndGet() == 0) {
      backends.forEach(Backend::close);
    }
  }
}
