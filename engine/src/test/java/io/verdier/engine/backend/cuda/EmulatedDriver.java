package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.verdier.engine.backend.DeviceException.Aftermath;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.cuda.EmulatedStream.Pace;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A device that is this processor: the kernels' sources, compiled by the C++ compiler against
 * {@code emulation.h}, launched at once where a real driver would queue them. Owned by one thread.
 *
 * <p>{@link #late} is the other extreme: everything is queued and runs only when somebody waits for
 * it. What was overwritten too early in between, on the host's side or the device's, then shows.
 * {@link #beside} has a thread that is the device, so that it can fail while nobody looks.
 *
 * <p>Memory is surrounded by guard words that {@link #close} looks at, so that a kernel that writes
 * beyond an allocation fails its test.
 */
final class EmulatedDriver implements CudaDriver {
  private static final long GUARD = 0x5AFE_5AFE_5AFE_5AFEL;
  private static final int GUARD_BYTES = 256;
  private static final long CONNECTION_BYTES = 1 << 20;
  private static final FunctionDescriptor LAUNCH =
      FunctionDescriptor.of(
          JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS);

  private final Arena arena = Arena.ofShared();
  private final SymbolLookup library;
  private final MethodHandle error;
  private final Map<Long, Allocation> allocations = new ConcurrentHashMap<>();
  private final Map<String, Entry> entries = new HashMap<>();
  private Device device = new Device("emulation", 9, 0, 4, 8L << 30, 227 << 10);
  private List<Recorded> recording = List.of();
  private boolean isRecording;
  private EmulatedStream stream = new EmulatedStream(Pace.AT_ONCE);
  private final AtomicInteger marks = new AtomicInteger();
  private boolean isFull;
  private final AtomicInteger launches = new AtomicInteger();
  private volatile int lastLaunch = Integer.MAX_VALUE;
  private final Set<Integer> connections = new HashSet<>(); // by order of magnitude
  private long taken;
  private long takenMax;

  private record Allocation(MemorySegment whole, long bytes) {
    static Allocation of(long bytes) {
      MemorySegment whole = LazyMemory.allocate(bytes + 2L * GUARD_BYTES + 8);
      for (int at = 0; at < GUARD_BYTES; at += 8) {
        whole.set(JAVA_LONG, at, GUARD);
        whole.set(ValueLayout.JAVA_LONG_UNALIGNED, GUARD_BYTES + bytes + at, GUARD);
      }
      return new Allocation(whole, bytes);
    }

    long address() {
      return whole.address() + GUARD_BYTES;
    }

    void free() {
      LazyMemory.free(whole);
    }

    void check() {
      for (int at = 0; at < GUARD_BYTES; at += 8) {
        if (whole.get(JAVA_LONG, at) != GUARD
            || whole.get(ValueLayout.JAVA_LONG_UNALIGNED, GUARD_BYTES + bytes + at) != GUARD) {
          throw new IllegalStateException("a kernel wrote beyond an allocation of " + bytes);
        }
      }
    }
  }

  private record Entry(String name, MethodHandle handle, int[] sharedMax) implements Kernel {}

  private record Recorded(Entry entry, int[] shape, byte[] values) {}

  private record Recording(List<Recorded> launches) implements Graph {}

  /** A place in the main queue. Owned by the driver's thread, except for what is volatile. */
  private final class Moment implements Event, Milestone {
    private volatile long number; // of the work before it
    private volatile long nanos;

    @Override
    public void record() {
      requireNoRecording();
      stream.add(() -> nanos = System.nanoTime());
      number = stream.queued();
    }

    @Override
    public void await() {
      stream.await(number);
    }

    @Override
    public void close() {}
  }

  /**
   * @param path the compiled kernels
   */
  EmulatedDriver(Path path) {
    library = SymbolLookup.libraryLookup(path, arena);
    error =
        Linker.nativeLinker()
            .downcallHandle(
                library.find("verdier_emulated_error").orElseThrow(),
                FunctionDescriptor.of(ADDRESS));
  }

  /** The same as another kind of device. */
  EmulatedDriver as(int major, int minor) {
    device = new Device("emulation", major, minor, 4, 8L << 30, 227 << 10);
    return this;
  }

  /** The same with so much memory. */
  EmulatedDriver of(long memoryBytes) {
    device =
        new Device(
            device.name(), device.major(), device.minor(), 4, memoryBytes, device.sharedBytesMax());
    return this;
  }

  /** Most bytes that were ever allocated at the same time. */
  long takenMax() {
    return takenMax;
  }

  /** The same, but nothing runs before it is waited for. */
  EmulatedDriver late() {
    stream = new EmulatedStream(Pace.LATE);
    return this;
  }

  /** The same, but a thread of its own works while its owner goes on. */
  EmulatedDriver beside() {
    stream = new EmulatedStream(Pace.BESIDE);
    return this;
  }

  /** Has a launch fail, counted from now on, and with it the device if that works beside. */
  void failAfter(int more) {
    lastLaunch = launches.get() + more;
  }

  /** How many marks of its copy queues have not been released. */
  AtomicInteger marks() {
    return marks;
  }

  EmulatedStream stream() {
    return stream;
  }

  private void queue(Runnable work) {
    requireNoRecording();
    stream.add(work);
  }

  /** The first message of about a size takes memory, as NCCL's does. */
  void connect(long bytes) {
    connections.add(Long.numberOfLeadingZeros(bytes));
  }

  /** What such messages have taken so far. */
  long connectionBytes() {
    return connections.size() * CONNECTION_BYTES;
  }

  /** Launches so far, those of replayed graphs included. */
  int launches() {
    return launches.get();
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public long freeBytes() {
    return device.memoryBytes() - taken - connections.size() * CONNECTION_BYTES;
  }

  /** Has the next allocation fail as if memory were short. */
  void failNextAllocation() {
    isFull = true;
  }

  @Override
  public long allocate(long bytes) {
    requireNoRecording();
    if (isFull) {
      isFull = false;
      throw new CudaException("CUDA out of memory: emulated");
    }
    if (bytes > freeBytes()) {
      throw CudaException.outOfMemory(bytes, freeBytes(), device);
    }
    taken += bytes;
    takenMax = Math.max(takenMax, taken);
    Allocation fresh = Allocation.of(bytes);
    allocations.put(fresh.address(), fresh);
    return fresh.address();
  }

  @Override
  public void free(long address) {
    synchronize(); // as the real driver does
    Allocation known = allocations.remove(address);
    if (known == null) {
      throw new IllegalStateException("no allocation begins at " + address);
    }
    known.check();
    known.free();
    taken -= known.bytes;
  }

  @Override
  public MemorySegment hostBuffer(long bytes) {
    return LazyMemory.allocate(bytes, arena);
  }

  @Override
  public void freeHost(MemorySegment buffer) {}

  @Override
  public void clear(long address, long bytes) {
    queue(() -> memory(address, bytes).fill((byte) 0));
  }

  @Override
  public void copy(long to, long from, long bytes) {
    queue(() -> MemorySegment.copy(memory(from, bytes), 0, memory(to, bytes), 0, bytes));
  }

  @Override
  public void copyIn(long to, MemorySegment from, long bytes) {
    queue(() -> MemorySegment.copy(from, 0, memory(to, bytes), 0, bytes));
  }

  @Override
  public void copyOut(MemorySegment to, long from, long bytes) {
    queue(() -> MemorySegment.copy(memory(from, bytes), 0, to, 0, bytes));
  }

  /** Device memory, checked to lie within one allocation. */
  MemorySegment memory(long address, long bytes) {
    for (Map.Entry<Long, Allocation> known : allocations.entrySet()) {
      long start = known.getKey();
      if (address >= start && address + bytes <= start + known.getValue().bytes) {
        return MemorySegment.ofAddress(address).reinterpret(bytes);
      }
    }
    throw new IllegalStateException(bytes + " bytes at " + address + " are not allocated");
  }

  void requireNoRecording() {
    if (isRecording) {
      throw new IllegalStateException("only launches can be captured");
    }
  }

  @Override
  public Kernel kernel(String name, int sharedBytes) {
    Entry entry = entries.computeIfAbsent(name, this::entry);
    entry.sharedMax[0] = Math.max(entry.sharedMax[0], sharedBytes);
    return entry;
  }

  private Entry entry(String name) {
    MemorySegment symbol =
        library
            .find("verdier_launch_" + name)
            .orElseThrow(() -> new IllegalArgumentException("no kernel " + name));
    return new Entry(name, Linker.nativeLinker().downcallHandle(symbol, LAUNCH), new int[1]);
  }

  @Override
  public void launch(Kernel kernel, Launch launch) {
    Entry entry = (Entry) kernel;
    if (launch.sharedBytes() > Math.max(entry.sharedMax[0], 48 << 10)) {
      throw new IllegalStateException(entry.name + " was not asked for with its shared memory");
    }
    int[] shape = {
      launch.gridX(), launch.gridY(), launch.gridZ(), launch.threads(), launch.sharedBytes()
    };
    if (isRecording) {
      recording.add(new Recorded(entry, shape, launch.values().toArray(ValueLayout.JAVA_BYTE)));
    } else if (stream.isAtOnce()) {
      run(entry, shape, launch.arguments());
    } else {
      byte[] values = launch.values().toArray(ValueLayout.JAVA_BYTE);
      queue(() -> run(new Recorded(entry, shape, values)));
    }
  }

  private void run(Entry entry, int[] shape, MemorySegment arguments) {
    if (launches.getAndIncrement() == lastLaunch) {
      throw new CudaException(entry.name + ": emulated fault", Aftermath.LOST);
    }
    for (int i = 0; i < 4; i++) {
      if (shape[i] < 1) {
        throw new CudaException(entry.name + ": a grid needs at least one block and one thread");
      }
    }
    try {
      int code =
          (int)
              entry.handle.invokeExact(
                  shape[0], shape[1], shape[2], shape[3], 1, 1, shape[4], arguments);
      if (code != 0) {
        MemorySegment text = (MemorySegment) error.invokeExact();
        throw new CudaException(entry.name + ": " + text.reinterpret(Long.MAX_VALUE).getString(0));
      }
    } catch (CudaException e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(entry.name, e);
    }
  }

  @Override
  public void synchronize() {
    requireNoRecording();
    stream.await(stream.queued());
  }

  @Override
  public Event event() {
    return new Moment();
  }

  @Override
  public void record(Event event) {
    ((Moment) event).record();
  }

  @Override
  public void await(Event event) {
    requireNoRecording();
    ((Moment) event).await();
  }

  @Override
  public Milestone milestone() {
    return new Moment();
  }

  /** Nothing is ever waited for: what is queued has run. */
  @Override
  public long waitedNanos() {
    return 0;
  }

  @Override
  public double secondsBetween(Event first, Event last) {
    return (((Moment) last).nanos - ((Moment) first).nanos) / 1e9;
  }

  @Override
  public CopyQueue copyQueue() {
    return new EmulatedCopyQueue(this);
  }

  @Override
  public Graph capture(Runnable captured) {
    requireNoRecording();
    recording = new ArrayList<>();
    isRecording = true;
    try {
      captured.run();
      return new Recording(recording);
    } finally {
      isRecording = false;
    }
  }

  @Override
  public void replay(Graph graph) {
    for (Recorded recorded : ((Recording) graph).launches) {
      queue(() -> run(recorded));
    }
  }

  private void run(Recorded recorded) {
    try (Arena own = Arena.ofConfined()) {
      MemorySegment values = own.allocate(recorded.values.length + 8L, 8);
      MemorySegment.copy(
          recorded.values, 0, values, ValueLayout.JAVA_BYTE, 0, recorded.values.length);
      int count = recorded.values.length / 8;
      MemorySegment pointers = own.allocate(Math.max(1, count) * 8L, 8);
      for (int i = 0; i < count; i++) {
        pointers.setAtIndex(JAVA_LONG, i, values.address() + i * 8L);
      }
      run(recorded.entry, recorded.shape, pointers);
    }
  }

  @Override
  public void release(Graph graph) {
    synchronize(); // as the real driver does
  }

  @Override
  public DeviceExchange exchange(Rank rank, Meeting meeting) {
    return new EmulatedExchange(this, rank, meeting);
  }

  boolean isClosed() {
    return !arena.scope().isAlive();
  }

  @Override
  public void close() {
    stream.close();
    allocations.values().forEach(Allocation::check);
    allocations.values().forEach(Allocation::free);
    allocations.clear();
    arena.close();
  }
}
