package io.verdier.cache.lora;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;

/**
 * Sources that wait to be asked. Owned by the adapter thread. In order, except that one origin has
 * no more than its share at once: a host that hangs must not take all the threads there are.
 */
final class FetchQueue {
  private final int perOrigin;
  private final Deque<AdapterSource> waiting = new ArrayDeque<>();
  private final Map<String, Integer> running = new HashMap<>(); // by origin
  private int runningCount;

  FetchQueue(int perOrigin) {
    this.perOrigin = perOrigin;
  }

  void add(AdapterSource source) {
    waiting.add(source);
  }

  /** Fetches that have begun and not ended. */
  int runningCount() {
    return runningCount;
  }

  /** The next one to begin. */
  Optional<AdapterSource> begin() {
    Iterator<AdapterSource> inOrder = waiting.iterator();
    while (inOrder.hasNext()) {
      AdapterSource source = inOrder.next();
      if (running.getOrDefault(source.origin(), 0) < perOrigin) {
        inOrder.remove();
        running.merge(source.origin(), 1, Integer::sum);
        runningCount++;
        return Optional.of(source);
      }
    }
    return Optional.empty();
  }

  void end(AdapterSource source) {
    runningCount--;
    running.computeIfPresent(source.origin(), (origin, count) -> count == 1 ? null : count - 1);
  }
}
