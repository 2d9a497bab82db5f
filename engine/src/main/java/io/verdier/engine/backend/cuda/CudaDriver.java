package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.lang.foreign.MemorySegment;

/**
 * What the backend asks of a device: memory, copies, launches, graphs. Owned by the executor thread
 * (by the loading thread before the first step).
 *
 * <p>Launches and copies are queued in the order of the calls and run one after the other; {@link
 * #synchronize} waits for all of them. One implementation calls the NVIDIA driver, another runs the
 * same kernels on the processor, so that everything above this interface is tested without a GPU.
 *
 * <p>Addresses are the device's, as numbers: 0 is none. They stay inside this package.
 */
interface CudaDriver extends AutoCloseable {

  /**
   * The device. Immutable.
   *
   * @param major of the compute capability
   * @param sharedBytesMax dynamic shared memory that a block may have
   * @param features what the kernels were compiled with
   */
  record Device(
      String name,
      int major,
      int minor,
      int multiprocessors,
      long memoryBytes,
      int sharedBytesMax,
      KernelFeatures features) {

    /** With kernels that were compiled for this device. */
    Device(
        String name,
        int major,
        int minor,
        int multiprocessors,
        long memoryBytes,
        int sharedBytesMax) {
      this(
          name,
          major,
          minor,
          multiprocessors,
          memoryBytes,
          sharedBytesMax,
          new KernelFeatures(major >= 9, major == 9));
    }

    /** With the kernels that were loaded. */
    Device with(KernelFeatures loaded) {
      return new Device(name, major, minor, multiprocessors, memoryBytes, sharedBytesMax, loaded);
    }

    /** What kernels for it are compiled for, as NVIDIA writes it: {@code sm_90a}. */
    String architecture() {
      return "sm_" + major + minor + (major == 9 ? "a" : "");
    }
  }

  /**
   * A kernel, ready to be launched with at most the dynamic shared memory it was asked for with.
   */
  interface Kernel {}

  /** Launches that were captured, to be repeated with one call. */
  interface Graph {}

  /** A place in the queue, where it was last {@linkplain #record recorded}. */
  interface Event {}

  /** A place in the queue for which another thread than the driver's may wait. */
  interface Milestone extends AutoCloseable {

    /** Moves it to behind what is queued now. The driver's thread; waits for nothing. */
    void record();

    /**
     * Waits until the queue has passed where it is now. Any thread; {@link CudaDriver#waitedNanos}
     * does not count it.
     *
     * @throws CudaException if the device failed before it came there
     */
    void await();

    /** The driver's thread, when nobody waits. */
    @Override
    void close();
  }

  Device device();

  /** Whether anything is computed; if not, weights need not be brought. */
  default boolean computes() {
    return true;
  }

  /** Device memory that is free now. */
  long freeBytes();

  /**
   * Allocates device memory, 256-byte aligned, all zero.
   *
   * @throws CudaException when it does not fit
   */
  long allocate(long bytes);

  void free(long address);

  /**
   * Host memory that the device copies from and to without the processor.
   *
   * @throws CudaException when the driver refuses to lock so much
   */
  MemorySegment hostBuffer(long bytes);

  void freeHost(MemorySegment buffer);

  /** Queues a copy to the device; {@code from} must stay as it is until it has run. */
  void copyIn(long to, MemorySegment from, long bytes);

  /** Queues that memory becomes all zero. */
  void clear(long address, long bytes);

  /** Queues a copy within the device. */
  void copy(long to, long from, long bytes);

  /** Queues a copy to the host. */
  void copyOut(MemorySegment to, long from, long bytes);

  /**
   * Looks a kernel up.
   *
   * @param sharedBytes most dynamic shared memory that a launch will ask for
   */
  Kernel kernel(String name, int sharedBytes);

  /**
   * Queues a kernel with the grid and the arguments of {@code launch}, which may then be reused.
   */
  void launch(Kernel kernel, Launch launch);

  /** Waits until all that was queued has run. */
  void synchronize();

  /** An event for as long as the driver is open; it counts as passed until it is recorded. */
  Event event();

  /** Moves an event to behind what is queued now. */
  void record(Event event);

  /** Waits until the queue has passed an event. */
  void await(Event event);

  /** Makes a milestone, at the beginning of the queue. */
  Milestone milestone();

  /** Waits for the second event and returns the time from the first one to it. */
  double secondsBetween(Event first, Event last);

  /** Time that all calls of {@link #await} and {@link #synchronize} have taken so far. */
  long waitedNanos();

  /** Opens a queue for copies beside the main one. */
  CopyQueue copyQueue();

  /** Runs {@code launches}, whose launches are recorded instead of queued. */
  Graph capture(Runnable launches);

  /** Queues a graph's launches. */
  void replay(Graph graph);

  /** Forgets a graph once it has run. */
  void release(Graph graph);

  /**
   * How this device talks to those of other ranks. Waits until all of them ask.
   *
   * @throws CudaException if it cannot
   */
  DeviceExchange exchange(Rank rank, Meeting meeting);

  /** Frees everything that was allocated. */
  @Override
  void close();
}
