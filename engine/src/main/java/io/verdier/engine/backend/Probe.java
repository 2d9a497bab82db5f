package io.verdier.engine.backend;

/**
 * Measures what a device does at its best, beside a benchmark and in the same process: machines
 * differ from minute to minute, so a speed means something only as a share of what was possible
 * then. Owned by the thread that owns the backend; not to be called while it computes.
 */
@FunctionalInterface
public interface Probe {

  /** Takes about a second. */
  Rates measure();

  /**
   * Upper limits. Immutable.
   *
   * @param readGbPerS 10^9 bytes that can be read from the memory of weights in a second
   * @param dotGops 10^9 multiplications and additions that matrix products can do in a second, in
   *     the arithmetic of the weights
   */
  record Rates(double readGbPerS, double dotGops) {}
}
