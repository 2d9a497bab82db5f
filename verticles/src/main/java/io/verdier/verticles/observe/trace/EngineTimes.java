package io.verdier.verticles.observe.trace;

/**
 * When a sequence went through the engine, by {@link System#nanoTime}. Immutable.
 *
 * @param arrived at the scheduler
 * @param started its first step
 * @param spoke its first token
 */
public record EngineTimes(long arrived, long started, long spoke) {
  static final EngineTimes UNKNOWN = new EngineTimes(0, 0, 0);

  boolean isKnown() {
    return !equals(UNKNOWN);
  }
}
