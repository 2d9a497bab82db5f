package io.verdier.engine.backend.cuda;

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * A milestone in a stream: an event whose waiter sleeps instead of spinning. Thread-safe as the
 * driver is: a wait is for what the event held when it began, whatever is recorded meanwhile.
 */
final class NvidiaMilestone implements CudaDriver.Milestone {
  private final NvidiaDriver driver;
  private final CUstream stream;
  private final CUevent event = new CUevent();
  private boolean closed;

  NvidiaMilestone(NvidiaDriver driver, CUstream stream) {
    this.driver = driver;
    this.stream = stream;
    int flags = CUevent_flags.CU_EVENT_BLOCKING_SYNC | CUevent_flags.CU_EVENT_DISABLE_TIMING;
    NvidiaDriver.check(JCudaDriver.cuEventCreate(event, flags), "cuEventCreate");
  }

  @Override
  public void record() {
    driver.makeCurrent();
    NvidiaDriver.check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
  }

  @Override
  public void await() {
    driver.makeCurrent();
    NvidiaDriver.check(JCudaDriver.cuEventSynchronize(event), "a kernel");
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      driver.makeCurrent();
      JCudaDriver.cuEventDestroy(event); // an error was reported where it arose
    }
  }
}
