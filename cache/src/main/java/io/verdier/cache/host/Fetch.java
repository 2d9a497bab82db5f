package io.verdier.cache.host;

/** Blocks that a sequence awaits from the disk. Owned by the scheduler thread. */
public final class Fetch {
  private int left;

  void expect() {
    left++;
  }

  void arrived() {
    left--;
  }

  /** Whether all have come, or will not. */
  public boolean isOver() {
    return left == 0;
  }
}
