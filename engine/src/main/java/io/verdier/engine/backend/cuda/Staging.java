package io.verdier.engine.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Page-locked memory through which numbers are copied to the device: two buffers in turn, so that
 * one step's can be gathered while the step before still waits for its own. Owned by the executor
 * thread.
 *
 * <p>Numbers are gathered in plain arrays, which Java writes at full speed from the first step on,
 * and get here by few large copies.
 */
final class Staging {
  private final CudaDriver driver;
  private final MemorySegment[] buffers = new MemorySegment[2];
  private final CudaDriver.Event[] taken = new CudaDriver.Event[2]; // the device has read it
  private int turn;

  Staging(CudaDriver driver, long bytes) {
    this.driver = driver;
    for (int i = 0; i < buffers.length; i++) {
      buffers[i] = driver.hostBuffer(bytes);
      taken[i] = driver.event();
    }
  }

  /** Takes the buffer that was used before the last one, once the device has read it. */
  void begin(long bytes) {
    turn = 1 - turn;
    driver.await(taken[turn]);
    if (bytes > buffers[turn].byteSize()) {
      driver.freeHost(buffers[turn]);
      buffers[turn] = driver.hostBuffer(Math.max(bytes, 2 * buffers[turn].byteSize()));
    }
  }

  /** Writes the first {@code count} of some numbers, at an index of the buffer in ints. */
  void put(long index, int[] from, int count) {
    MemorySegment.copy(from, 0, buffers[turn], ValueLayout.JAVA_INT, index * Integer.BYTES, count);
  }

  /** Queues the copy of the buffer's first bytes. */
  void copyIn(long to, long bytes) {
    driver.copyIn(to, buffers[turn], bytes);
    driver.record(taken[turn]);
  }

  /** Nothing may be under way. */
  void free() {
    for (MemorySegment buffer : buffers) {
      driver.freeHost(buffer);
    }
  }
}
