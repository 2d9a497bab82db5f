package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ComputePoolTest {

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 8})
  void run_manySmallJobs_runsEveryUnitOnce(int threads) {
    try (ComputePool pool = new ComputePool(threads)) {
      for (int round = 0; round < 3000; round++) {
        int units = round % 40;
        AtomicIntegerArray seen = new AtomicIntegerArray(units + 1);
        pool.run((unit, worker) -> seen.incrementAndGet(unit), units);
        for (int unit = 0; unit < units; unit++) {
          assertThat(seen.get(unit)).as("round %d unit %d", round, unit).isEqualTo(1);
        }
        assertThat(seen.get(units)).isZero();
      }
    }
  }

  @Test
  void run_workersParked_areWoken() {
    try (ComputePool pool = new ComputePool(4)) {
      for (int round = 0; round < 20; round++) {
        long idleUntil = System.nanoTime() + 4L * ComputePool.SPIN_NANOS;
        while (System.nanoTime() < idleUntil) {
          Thread.onSpinWait();
        }
        AtomicIntegerArray seen = new AtomicIntegerArray(1);
        pool.run((unit, worker) -> seen.incrementAndGet(0), 100);
        assertThat(seen.get(0)).isEqualTo(100);
      }
    }
  }

  @Test
  void run_unitThrows_throwsAndServesOn() {
    try (ComputePool pool = new ComputePool(2)) {
      ComputePool.Job failing =
          (unit, worker) -> {
            if (unit == 7) {
              throw new IllegalArgumentException("unit 7");
            }
          };
      assertThatThrownBy(() -> pool.run(failing, 20)).hasRootCauseMessage("unit 7");
      AtomicIntegerArray seen = new AtomicIntegerArray(1);
      pool.run((unit, worker) -> seen.incrementAndGet(0), 20);
      assertThat(seen.get(0)).isEqualTo(20);
    }
  }

  @Test
  void run_threadsHaveSomethingElseToDo_runsEveryUnitOnce() {
    AtomicIntegerArray slices = new AtomicIntegerArray(3);
    ComputePool.Idling idling = worker -> slices.incrementAndGet(worker) % 100 != 0;
    long due = System.nanoTime() + 20_000_000_000L; // a busy machine starts threads late
    try (ComputePool pool = new ComputePool(3, idling)) {
      for (int round = 0;
          round < 1000 || (slices.get(1) + slices.get(2) == 0 && System.nanoTime() < due);
          round++) {
        AtomicIntegerArray seen = new AtomicIntegerArray(1);
        pool.run((unit, worker) -> seen.incrementAndGet(0), 9);
        assertThat(seen.get(0)).isEqualTo(9);
      }
    }
    assertThat(slices.get(1) + slices.get(2)).isPositive();
  }
}
