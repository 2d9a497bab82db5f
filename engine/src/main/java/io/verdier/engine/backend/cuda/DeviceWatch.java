package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.util.concurrent.Semaphore;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has a rank's device watched while nobody waits for it. Owned by the rank's thread; its own thread
 * does nothing but wait.
 *
 * <p>A driver tells of a fault to whoever calls it next. Once a rank has queued its part of a step,
 * nobody does: its thread waits for the next step, which the first rank does not begin before it
 * has the tokens of this one, for which its device waits in a gather to which the failed one will
 * not come. So another thread waits for the device, as well, and aborts the meeting if it fails;
 * that ends the gather.
 *
 * <p>The rank's thread never waits for this one: it moves the milestone on, which the other may
 * still be waiting for where it was before. What has been moved meanwhile is waited for once.
 */
final class DeviceWatch implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DeviceWatch.class);
  private static final long END_MILLIS = 5_000;

  private final CudaDriver.Milestone milestone;
  private final Rank rank;
  private final Meeting meeting;
  private final Semaphore moved = new Semaphore(0);
  private final Thread thread;
  private volatile boolean ended;

  /**
   * @param milestone of the rank's device, closed with this
   */
  DeviceWatch(CudaDriver.Milestone milestone, Rank rank, Meeting meeting) {
    this.milestone = milestone;
    this.rank = rank;
    this.meeting = meeting;
    thread = new Thread(this::watch, "verdier-rank-" + rank.index() + "-watch");
    thread.setDaemon(true);
    thread.start();
    meeting.onAbort(this::end);
  }

  /** From now on what is queued now is watched, too. */
  void extend() {
    milestone.record();
    moved.release();
  }

  private void watch() {
    try {
      while (true) {
        moved.acquireUninterruptibly();
        moved.drainPermits();
        if (ended) {
          return;
        }
        milestone.await();
      }
    } catch (RuntimeException | Error failed) {
      if (meeting.abort(failed)) {
        LOG.warn("The device of {} failed: {}", rank, failed.toString());
      }
    }
  }

  private void end() {
    ended = true;
    moved.release();
  }

  /** When the device has nothing more to do, or never will. */
  @Override
  public void close() {
    end();
    try {
      thread.join(END_MILLIS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
    if (thread.isAlive()) {
      LOG.warn("The device of {} does not come to an end", rank);
    } else {
      milestone.close();
    }
  }
}
