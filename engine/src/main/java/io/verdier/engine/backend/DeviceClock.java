package io.verdier.engine.backend;

/**
 * Tells how long steps take on the device itself. Owned by the executor thread. A step begins with
 * the first work that the device gets for it; its end has to be said.
 */
public interface DeviceClock {

  /** All of the step's work is queued. */
  void stop();

  /**
   * Of the first step that was stopped and not asked for: waits for its end.
   *
   * @return from the step's first work to its last
   */
  double seconds();
}
