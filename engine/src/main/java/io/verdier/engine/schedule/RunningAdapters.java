package io.verdier.engine.schedule;

import java.util.HashMap;
import java.util.Map;

/**
 * The adapters of running sequences: no more than the device has slots. Owned by the scheduler
 * thread.
 *
 * <p>Who waits for a slot holds up whoever stands behind it with an adapter, even one that is
 * running: else a stream of requests for that one would keep its slot for ever. Sequences of the
 * base model pass by; they keep no slot from anybody.
 */
final class RunningAdapters {
  private final int adaptersMax;
  private final Map<String, Integer> users = new HashMap<>(); // sequences by adapter
  private boolean isAwaited; // somebody in front waits for a slot
  private int passedOver;

  RunningAdapters(int adaptersMax) {
    this.adaptersMax = adaptersMax;
  }

  /** The waiting sequences are looked at from the first one on. */
  void rewind() {
    isAwaited = false;
    passedOver = 0;
  }

  /** Sequences that were looked at since and may not run yet. */
  int passedOver() {
    return passedOver;
  }

  /** Whether the sequence that is looked at may run, as far as its adapter matters. */
  boolean admit(EngineRequest request) {
    String adapter = request.adapter();
    if (adapter.isEmpty()) {
      return true;
    }
    isAwaited |= !users.containsKey(adapter) && users.size() == adaptersMax;
    passedOver += isAwaited ? 1 : 0;
    return !isAwaited;
  }

  void enter(EngineRequest request) {
    if (!request.adapter().isEmpty()) {
      users.merge(request.adapter(), 1, Integer::sum);
    }
  }

  void leave(EngineRequest request) {
    if (!request.adapter().isEmpty()) {
      users.computeIfPresent(request.adapter(), (adapter, count) -> count == 1 ? null : count - 1);
    }
  }
}
