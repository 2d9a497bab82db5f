package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceClock;

/**
 * Events around each step, once somebody asks for times: two calls of the driver a step. Owned by
 * the executor thread.
 */
final class CudaClock implements DeviceClock {
  private static final int STEPS = 4; // more than are ever under way

  private final CudaDriver driver;
  private final CudaDriver.Event[] starts = new CudaDriver.Event[STEPS];
  private final CudaDriver.Event[] stops = new CudaDriver.Event[STEPS];
  private boolean isOn;
  private int stopped;
  private int told;

  CudaClock(CudaDriver driver) {
    this.driver = driver;
  }

  void turnOn() {
    for (int i = 0; i < STEPS && !isOn; i++) {
      starts[i] = driver.event();
      stops[i] = driver.event();
    }
    isOn = true;
  }

  /** The device gets its first work of a step. */
  void start() {
    if (isOn) {
      driver.record(starts[stopped % STEPS]);
    }
  }

  @Override
  public void stop() {
    if (stopped - told == STEPS) {
      throw new IllegalStateException(STEPS + " steps were not asked for");
    }
    driver.record(stops[stopped++ % STEPS]);
  }

  @Override
  public double seconds() {
    if (told == stopped) {
      throw new IllegalStateException("no step was stopped");
    }
    int step = told++ % STEPS;
    return driver.secondsBetween(starts[step], stops[step]);
  }
}
