package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Emulated devices that talk through the host's memory: each copies out what it has, and copies in
 * what all have. Owned by the rank's thread.
 */
final class EmulatedExchange implements DeviceExchange {
  private final CudaDriver driver;
  private final Rank rank;
  private final Meeting meeting;

  EmulatedExchange(CudaDriver driver, Rank rank, Meeting meeting) {
    this.driver = driver;
    this.rank = rank;
    this.meeting = meeting;
  }

  @Override
  public void allGather(long to, long from, long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment own = arena.allocate(bytes, 64);
      driver.copyOut(own, from, bytes);
      driver.synchronize();
      meeting.arrive(rank, own.toArray(ValueLayout.JAVA_BYTE));
      for (int i = 0; i < rank.size(); i++) {
        byte[] part = (byte[]) meeting.offer(i);
        MemorySegment.copy(part, 0, own, ValueLayout.JAVA_BYTE, 0, part.length);
        driver.copyIn(to + i * bytes, own, bytes);
        driver.synchronize();
      }
      meeting.arrive(rank);
    }
  }

  @Override
  public void close() {}
}
