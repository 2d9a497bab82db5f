package io.verdier.verticles.bench.offline;

import io.verdier.verticles.bench.offline.OpTimes.Op;
import io.verdier.verticles.bench.offline.OpTimes.Profile;
import java.util.Arrays;
import java.util.Map;

/** Owned by the measuring thread. Steps of one kind within one run. */
final class PhaseTimes {
  private double[] stepMs = new double[64];
  private int steps;
  private long tokens;
  private long nanos;
  private long leftNanos;
  private long deviceNanos;
  private final Profile profile = new Profile();

  /**
   * What a step took.
   *
   * @param nanos all of it, scheduling and sampling included
   * @param leftNanos what of that this thread has left to the backend: computing on the host,
   *     waiting for a device
   * @param deviceNanos how long the device has worked, by its own clock if it has one
   * @param operations what each of the backend's operations took; empty where they are not timed
   */
  record StepTime(long nanos, long leftNanos, long deviceNanos, Map<String, Op> operations) {}

  /**
   * @param stepTokens tokens that the step computed
   */
  void add(int stepTokens, StepTime time) {
    if (steps == stepMs.length) {
      stepMs = Arrays.copyOf(stepMs, 2 * steps);
    }
    stepMs[steps++] = time.nanos / 1e6;
    tokens += stepTokens;
    nanos += time.nanos;
    leftNanos += time.leftNanos;
    deviceNanos += time.deviceNanos;
    profile.add(time.operations);
  }

  long nanos() {
    return nanos;
  }

  Profile profile() {
    return profile;
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

  /** Scheduling, packing, launching, reading results: all but the backend's part, per step. */
  double hostMsPerStep() {
    return (nanos - leftNanos) / 1e6 / steps;
  }

  /** From the device's first work for a step to its last, per step. */
  double deviceMsPerStep() {
    return deviceNanos / 1e6 / steps;
  }

  /** How long the device has nothing to do between two steps. */
  double idleMsPerStep() {
    return (nanos - deviceNanos) / 1e6 / steps;
  }
}
