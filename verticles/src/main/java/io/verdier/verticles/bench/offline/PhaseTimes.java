package io.verdier.verticles.bench.offline;

import java.util.Arrays;

/** Owned by the measuring thread. Steps of one kind within one run. */
final class PhaseTimes {
  private double[] stepMs = new double[64];
  private int steps;
  private long tokens;
  private long nanos;
  private long deviceNanos;

  /**
   * @param stepTokens tokens that the step computed
   * @param stepNanos all of it, scheduling and sampling included
   * @param ofDevice what the backend took of that
   */
  void add(int stepTokens, long stepNanos, long ofDevice) {
    if (steps == stepMs.length) {
      stepMs = Arrays.copyOf(stepMs, 2 * steps);
    }
    stepMs[steps++] = stepNanos / 1e6;
    tokens += stepTokens;
    nanos += stepNanos;
    deviceNanos += ofDevice;
  }

  int steps() {
    return steps;
  }

  double[] stepMs() {
    return Arrays.copyOf(stepMs, steps);
  }

  double tokensPerSecond() {
    return tokens * 1e9 / nanos;
  }

  /** Scheduling, sampling and everything else that is not the backend, per step. */
  double hostMsPerStep() {
    return (nanos - deviceNanos) / 1e6 / steps;
  }
}
