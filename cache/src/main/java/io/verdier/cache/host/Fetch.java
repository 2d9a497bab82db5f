package io.verdier.cache.host;

import java.util.List;

/** Blocks that a sequence awaits from a tier behind the host. Owned by the scheduler thread. */
public final class Fetch {
  private final List<Fetch> parts;
  private int left;

  Fetch() {
    parts = List.of();
  }

  /** What comes from several tiers. */
  Fetch(Fetch... parts) {
    this.parts = List.of(parts);
  }

  void expect() {
    left++;
  }

  void arrived() {
    left--;
  }

  /** Whether all have come, or will not. */
  public boolean isOver() {
    return left == 0 && parts.stream().allMatch(Fetch::isOver);
  }
}
