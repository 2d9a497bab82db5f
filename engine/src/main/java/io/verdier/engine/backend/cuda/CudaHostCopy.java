package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.HostCopy;

/**
 * What is in a queue up to now. Owned by the executor thread. Done when its mark is past, which is
 * then given back: it may be asked any number of times.
 */
final class CudaHostCopy implements HostCopy {
  private final CopyQueue queue;
  private final CopyQueue.Mark mark;
  private boolean done;

  CudaHostCopy(CopyQueue queue) {
    this.queue = queue;
    mark = queue.mark();
  }

  @Override
  public boolean isDone() {
    if (!done && mark.isPast()) {
      finish();
    }
    return done;
  }

  @Override
  public void await() {
    if (!done) {
      mark.await();
      finish();
    }
  }

  @Override
  public void holdSteps() {
    if (!done) {
      queue.holdMain(mark);
    }
  }

  private void finish() {
    done = true;
    mark.release();
  }
}
