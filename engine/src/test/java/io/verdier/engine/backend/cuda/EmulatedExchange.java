package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.RankFailure;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Emulated devices that talk through the host's memory: each shows what it has, and copies what all
 * have. Owned by the rank's thread.
 *
 * <p>Devices meet apart from their ranks, as NCCL's kernels do: one that waits for another does not
 * come back by itself. It does when the ranks' meeting is aborted, and then, as NCCL's, as if all
 * had gone well.
 */
final class EmulatedExchange implements DeviceExchange {
  private final EmulatedDriver driver;
  private final Rank rank;
  private final Meeting devices;
  private volatile boolean closed;

  /** Joins the ranks; returns when all have. */
  EmulatedExchange(EmulatedDriver driver, Rank rank, Meeting meeting) {
    this.driver = driver;
    this.rank = rank;
    meeting.arrive(rank, new Meeting(rank.size()));
    devices = (Meeting) meeting.offer(0);
    meeting.arrive(rank);
    meeting.onAbort(this::abort);
  }

  @Override
  public void allGather(long to, long from, long bytes) {
    if (closed) {
      throw new IllegalStateException("the ranks' communicator was closed");
    }
    driver.connect(bytes);
    driver.stream().add(() -> gather(to, from, bytes));
  }

  private void gather(long to, long from, long bytes) {
    try {
      devices.arrive(rank, driver.memory(from, bytes).toArray(ValueLayout.JAVA_BYTE));
      for (int i = 0; i < rank.size(); i++) {
        byte[] part = (byte[]) devices.offer(i);
        MemorySegment target = driver.memory(to + i * bytes, bytes);
        MemorySegment.copy(part, 0, target, ValueLayout.JAVA_BYTE, 0, part.length);
      }
      devices.arrive(rank);
    } catch (RankFailure aborted) {
      if (!driver.stream().isBeside()) {
        throw aborted; // this is the rank's thread
      }
    }
  }

  private void abort() {
    closed = true;
    devices.abort(new IllegalStateException("the communicator was aborted"));
  }

  @Override
  public void close() {
    closed = true;
  }
}
