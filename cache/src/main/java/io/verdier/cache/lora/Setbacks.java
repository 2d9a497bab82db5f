package io.verdier.cache.lora;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Sources that have failed lately. Owned by the adapter thread.
 *
 * <p>A failure stands for a while, and longer each time in a row, so that a broken source is not
 * asked again by every request that names it. Five seconds at most: what is mended is found so
 * soon.
 *
 * @param <F> why it failed
 */
final class Setbacks<F> {
  static final long FIRST_NANOS = 100_000_000;
  static final long LAST_NANOS = 5_000_000_000L;
  private static final int DOUBLINGS_MAX = 16;
  private static final int SOURCES_MAX = 4096;

  private final Map<AdapterSource, Setback<F>> standing = new LinkedHashMap<>(); // oldest first

  private record Setback<F>(int failures, long sinceNanos, F why) {
    private boolean stands(long nowNanos) {
      long nanos = FIRST_NANOS << Math.min(failures - 1, DOUBLINGS_MAX);
      return nowNanos - sinceNanos < Math.min(nanos, LAST_NANOS);
    }
  }

  /** Why the source is not asked now. */
  Optional<F> of(AdapterSource source, long nowNanos) {
    Setback<F> setback = standing.get(source);
    return setback != null && setback.stands(nowNanos)
        ? Optional.of(setback.why)
        : Optional.empty();
  }

  void failed(AdapterSource source, F why, long nowNanos) {
    Setback<F> before = standing.remove(source);
    standing.put(source, new Setback<>(before == null ? 1 : before.failures + 1, nowNanos, why));
    if (standing.size() > SOURCES_MAX) {
      standing.remove(standing.keySet().iterator().next());
    }
  }

  void succeeded(AdapterSource source) {
    standing.remove(source);
  }
}
