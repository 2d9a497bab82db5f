package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/**
 * A driver that keeps the books of device memory and does nothing else: copies and launches are
 * forgotten. Owned by the loading thread. Host memory is real, because the host writes to it.
 */
final class CountingDriver implements CudaDriver {
  /** Large allocations are mapped in pages of 2 MiB; smaller ones share such pages. */
  private static final long PAGE_BYTES = 2L << 20;

  private static final long SMALL_BYTES = 1L << 20;
  private static final long SMALL_ALIGNED = 512;

  /**
   * What the driver keeps on the device for a launch in a captured step: its node, and a copy of
   * its parameters. Not documented; an estimate on the safe side.
   */
  private static final long NODE_BYTES = 8 << 10;

  /** Addresses that no allocation of a device has, and no host's either. */
  private static final long FIRST_ADDRESS = 1L << 56;

  private static final Kernel NOTHING = new Kernel() {};
  private static final Event NEVER = new Event() {};

  private static final Milestone PASSED =
      new Milestone() {
        @Override
        public void record() {}

        @Override
        public void await() {}

        @Override
        public void close() {}
      };

  /** Of ranks that are rehearsed one by one: nobody is waited for. */
  private static final DeviceExchange NOBODY =
      new DeviceExchange() {
        @Override
        public void allGather(long to, long from, long bytes) {}

        @Override
        public void close() {}
      };

  private final Device device;
  private final Arena arena = Arena.ofShared();
  private final Map<Long, Long> allocations = new HashMap<>(); // address to counted bytes
  private long next = FIRST_ADDRESS;
  private long pages;
  private long small;
  private long bytesMax;
  private long nodes;
  private long launches;

  /** Launches that were captured. */
  private record Captured(long nodes) implements Graph {}

  /** Copies are past at once. They take no device memory. */
  private record NoQueue() implements CopyQueue, CopyQueue.Mark {

    @Override
    public void followMain() {}

    @Override
    public void holdMain(Mark mark) {}

    @Override
    public void copyOut(MemorySegment to, long from, Pieces pieces) {}

    @Override
    public void copyIn(long to, MemorySegment from, Pieces pieces) {}

    @Override
    public void copyIn(long to, MemorySegment from, long bytes) {}

    @Override
    public Mark mark() {
      return this;
    }

    @Override
    public boolean isPast() {
      return true;
    }

    @Override
    public void await() {}

    @Override
    public void release() {}

    @Override
    public void close() {}
  }

  /**
   * @param device whose memory would be taken
   */
  CountingDriver(Device device) {
    this.device = device;
  }

  /** Bytes that are allocated now. */
  long bytes() {
    return pages + up(small, PAGE_BYTES);
  }

  long bytesMax() {
    return bytesMax;
  }

  long graphBytes() {
    return nodes * NODE_BYTES;
  }

  @Override
  public boolean computes() {
    return false;
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public long freeBytes() {
    return device.memoryBytes() - bytes();
  }

  @Override
  public long allocate(long bytes) {
    long counted = up(Math.max(bytes, 1), bytes < SMALL_BYTES ? SMALL_ALIGNED : PAGE_BYTES);
    count(counted);
    long address = next;
    next += counted;
    allocations.put(address, counted);
    bytesMax = Math.max(bytesMax, bytes());
    return address;
  }

  @Override
  public void free(long address) {
    Long counted = allocations.remove(address);
    if (counted == null) {
      throw new IllegalStateException("no allocation begins at " + address);
    }
    count(-counted);
  }

  private void count(long counted) {
    if (Math.abs(counted) < SMALL_BYTES) {
      small += counted;
    } else {
      pages += counted;
    }
  }

  private static long up(long bytes, long aligned) {
    return (bytes + aligned - 1) / aligned * aligned;
  }

  @Override
  public MemorySegment hostBuffer(long bytes) {
    return arena.allocate(bytes, 64);
  }

  @Override
  public void freeHost(MemorySegment buffer) {}

  @Override
  public void copyIn(long to, MemorySegment from, long bytes) {}

  @Override
  public void clear(long address, long bytes) {}

  @Override
  public void copy(long to, long from, long bytes) {}

  @Override
  public void copyOut(MemorySegment to, long from, long bytes) {}

  @Override
  public Kernel kernel(String name, int sharedBytes) {
    return NOTHING;
  }

  @Override
  public void launch(Kernel kernel, Launch launch) {
    launches++;
  }

  @Override
  public void synchronize() {}

  @Override
  public Event event() {
    return NEVER;
  }

  @Override
  public void record(Event event) {}

  @Override
  public void await(Event event) {}

  @Override
  public Milestone milestone() {
    return PASSED;
  }

  @Override
  public long waitedNanos() {
    return 0;
  }

  @Override
  public double secondsBetween(Event first, Event last) {
    return 0;
  }

  @Override
  public CopyQueue copyQueue() {
    return new NoQueue();
  }

  @Override
  public Graph capture(Runnable captured) {
    long before = launches;
    captured.run();
    nodes += launches - before;
    return new Captured(launches - before);
  }

  @Override
  public void replay(Graph graph) {}

  @Override
  public void release(Graph graph) {
    nodes -= ((Captured) graph).nodes;
  }

  @Override
  public DeviceExchange exchange(Rank rank, Meeting meeting) {
    return NOBODY;
  }

  @Override
  public void close() {
    arena.close();
  }
}
