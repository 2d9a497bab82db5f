package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.verdier.engine.backend.DeviceException.Aftermath;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/**
 * A device behind NVIDIA's driver, through JCuda. Owned by the executor thread; the thread that
 * creates it may be another, so each call that needs it makes the context current.
 *
 * <p>Kernels are launched by {@code cuLaunchKernelEx}, which JCuda 12.6 does not have, through the
 * foreign-function interface. It allows programmatic dependent launch: a kernel may begin while the
 * one before it ends, fetch its weights, and then wait for what the other writes.
 */
final class NvidiaDriver implements CudaDriver {
  /** Errors of one call; after any other the context is of no more use. */
  private static final Set<Integer> USABLE_AFTER =
      Set.of(
          CUresult.CUDA_ERROR_OUT_OF_MEMORY,
          CUresult.CUDA_ERROR_INVALID_VALUE,
          CUresult.CUDA_ERROR_INVALID_DEVICE,
          CUresult.CUDA_ERROR_NO_DEVICE,
          CUresult.CUDA_ERROR_NOT_FOUND);

  private static final int GRAPH_UPLOAD = 0;
  private static final int PROGRAMMATIC_SERIALIZATION = 6; // CU_LAUNCH_ATTRIBUTE_...

  /** A block has 48 KB without asking, what its kernel declares by itself included. */
  private static final int SHARED_BYTES_WITHOUT_ASKING = 40 << 10;

  /**
   * Whose context is current on a thread: one that loads several engines uses their devices in
   * turn.
   */
  private static final ThreadLocal<NvidiaDriver> CURRENT = new ThreadLocal<>();

  private final Arena arena = Arena.ofShared();
  private final CUcontext context = new CUcontext();
  private final CUdevice handle = new CUdevice();
  private final CUmodule module = new CUmodule();
  private final StreamHandle stream = new StreamHandle();
  private Device device;
  private final MethodHandle launchKernel;
  private final MemorySegment launchConfig; // CUlaunchConfig, 56 bytes
  private final Map<String, FunctionHandle> kernels = new HashMap<>();
  private final PageLocked pageLocked;
  private final Map<Long, DeviceAddress> allocations = new HashMap<>();
  private final List<CUevent> events = new ArrayList<>();
  private final List<NvidiaMilestone> milestones = new ArrayList<>();
  private final List<NvidiaCopyQueue> copyQueues = new ArrayList<>();
  private final SymbolLookup library;
  private long recordings;
  private long passed; // the last recording that was waited for
  private long waitedNanos;

  /** Handles whose value the launch needs; JCuda shows it to subclasses only. */
  private static final class FunctionHandle extends CUfunction implements Kernel {
    private int sharedBytes = SHARED_BYTES_WITHOUT_ASKING;

    long value() {
      return getNativePointer();
    }
  }

  /** A stream whose value foreign calls need. */
  static final class StreamHandle extends CUstream {
    long value() {
      return getNativePointer();
    }
  }

  private static final class DeviceAddress extends CUdeviceptr {
    long value() {
      return getNativePointer() + getByteOffset();
    }
  }

  private static final class HostAddress extends Pointer {
    HostAddress(long address) {
      super(address);
    }
  }

  private record Captured(CUgraphExec graph) implements Graph {}

  private static final class Recorded implements Event {
    private final CUevent event;
    private long number; // of its last recording among all

    Recorded(CUevent event) {
      this.event = event;
    }
  }

  /**
   * Opens a device. JCuda's native half must have been loaded.
   *
   * @param ordinal among the devices that the driver shows
   * @param image the kernels: a fat binary, a cubin or PTX
   */
  NvidiaDriver(int ordinal, byte[] image) {
    JCudaDriver.setExceptionsEnabled(false);
    check(JCudaDriver.cuInit(0), "cuInit");
    requireDevice(ordinal);
    check(JCudaDriver.cuDeviceGet(handle, ordinal), "cuDeviceGet");
    check(JCudaDriver.cuDevicePrimaryCtxRetain(context, handle), "cuDevicePrimaryCtxRetain");
    try {
      makeCurrent();
      device = describe();
      load(image);
      check(JCudaDriver.cuStreamCreate(stream, 1), "cuStreamCreate"); // 1: non-blocking
      library = SymbolLookup.libraryLookup("libcuda.so.1", arena);
      pageLocked = new PageLocked(library);
      launchKernel = function("cuLaunchKernelEx", ADDRESS, JAVA_LONG, ADDRESS, ADDRESS);
      launchConfig = launchConfig();
      device = device.with(KernelFeatures.of(this));
      launchConfig.set(JAVA_INT, 48, device.features().bulk() ? 1 : 0); // else no kernel waits
    } catch (RuntimeException | Error e) {
      release(); // nobody will close what was never opened
      throw e;
    }
  }

  private void load(byte[] image) {
    int loaded = JCudaDriver.cuModuleLoadData(module, image);
    if (loaded != CUresult.CUDA_SUCCESS) {
      String architecture = device.architecture();
      throw new CudaException(
          "the kernels of this build do not run on %s (%s, %s). Build with -Dcuda.architectures=%s."
              .formatted(device.name(), architecture, CUresult.stringFor(loaded), architecture));
    }
  }

  private MemorySegment launchConfig() {
    MemorySegment config = arena.allocate(56, 8);
    MemorySegment attribute = arena.allocate(72, 8);
    attribute.set(JAVA_INT, 0, PROGRAMMATIC_SERIALIZATION);
    attribute.set(JAVA_INT, 8, 1);
    config.set(JAVA_LONG, 32, stream.value());
    config.set(JAVA_LONG, 40, attribute.address());
    return config;
  }

  private static void requireDevice(int ordinal) {
    int[] count = new int[1];
    check(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount");
    if (ordinal >= count[0]) {
      throw new CudaException(
          "there is no GPU %d: the driver shows %d, counted from 0. Lower --tensor-parallel-size, or change --device-ids or CUDA_VISIBLE_DEVICES."
              .formatted(ordinal, count[0]));
    }
  }

  /** A function of the driver that gives a result code. */
  MethodHandle function(String name, MemoryLayout... parameters) {
    return Linker.nativeLinker()
        .downcallHandle(
            library.find(name).orElseThrow(), FunctionDescriptor.of(JAVA_INT, parameters));
  }

  private Device describe() {
    byte[] name = new byte[256];
    check(JCudaDriver.cuDeviceGetName(name, name.length, handle), "cuDeviceGetName");
    int length = 0;
    while (length < name.length && name[length] != 0) {
      length++;
    }
    long[] bytes = new long[1];
    check(JCudaDriver.cuDeviceTotalMem(bytes, handle), "cuDeviceTotalMem");
    return new Device(
        new String(name, 0, length, StandardCharsets.UTF_8),
        attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
        attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
        attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        bytes[0],
        attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  }

  private int attribute(int which) {
    int[] value = new int[1];
    check(JCudaDriver.cuDeviceGetAttribute(value, which, handle), "cuDeviceGetAttribute");
    return value[0];
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public long freeBytes() {
    makeCurrent();
    long[] free = new long[1];
    check(JCudaDriver.cuMemGetInfo(free, new long[1]), "cuMemGetInfo");
    return free[0];
  }

  @Override
  public long allocate(long bytes) {
    makeCurrent();
    DeviceAddress address = new DeviceAddress();
    int result = JCudaDriver.cuMemAlloc(address, Math.max(bytes, 256));
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw CudaException.outOfMemory(bytes, freeBytes(), device);
    }
    check(result, "cuMemAlloc");
    allocations.put(address.value(), address);
    clear(address.value(), bytes);
    return address.value();
  }

  @Override
  public void free(long address) {
    makeCurrent();
    DeviceAddress known = allocations.remove(address);
    if (known == null) {
      throw new IllegalStateException("no allocation begins at " + address);
    }
    check(JCudaDriver.cuMemFree(known), "cuMemFree");
  }

  @Override
  public MemorySegment hostBuffer(long bytes) {
    makeCurrent();
    return pageLocked.allocate(bytes);
  }

  @Override
  public void freeHost(MemorySegment buffer) {
    makeCurrent();
    pageLocked.free(buffer);
  }

  @Override
  public void clear(long address, long bytes) {
    makeCurrent();
    check(JCudaDriver.cuMemsetD8Async(at(address), (byte) 0, bytes, stream), "cuMemsetD8Async");
  }

  @Override
  public void copy(long to, long from, long bytes) {
    makeCurrent();
    check(JCudaDriver.cuMemcpyDtoDAsync(at(to), at(from), bytes, stream), "cuMemcpyDtoDAsync");
  }

  @Override
  public void copyIn(long to, MemorySegment from, long bytes) {
    copyIn(to, from, bytes, stream);
  }

  /** The same in another stream. */
  void copyIn(long to, MemorySegment from, long bytes, CUstream queue) {
    makeCurrent();
    check(
        JCudaDriver.cuMemcpyHtoDAsync(at(to), new HostAddress(from.address()), bytes, queue),
        "cuMemcpyHtoDAsync");
  }

  @Override
  public void copyOut(MemorySegment to, long from, long bytes) {
    makeCurrent();
    check(
        JCudaDriver.cuMemcpyDtoHAsync(new HostAddress(to.address()), at(from), bytes, stream),
        "cuMemcpyDtoHAsync");
  }

  private static CUdeviceptr at(long address) {
    return new CUdeviceptr().withByteOffset(address);
  }

  @Override
  public Kernel kernel(String name, int sharedBytes) {
    makeCurrent();
    FunctionHandle function = kernels.get(name);
    if (function == null) {
      function = new FunctionHandle();
      check(JCudaDriver.cuModuleGetFunction(function, module, name), "kernel " + name);
      kernels.put(name, function);
    }
    if (sharedBytes > function.sharedBytes) {
      function.sharedBytes = sharedBytes;
      check(
          JCudaDriver.cuFuncSetAttribute(
              function,
              CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
              sharedBytes),
          name + " with " + sharedBytes + " bytes of shared memory");
    }
    return function;
  }

  @Override
  public void launch(Kernel kernel, Launch launch) {
    makeCurrent();
    launchConfig.set(JAVA_INT, 0, launch.gridX());
    launchConfig.set(JAVA_INT, 4, launch.gridY());
    launchConfig.set(JAVA_INT, 8, launch.gridZ());
    launchConfig.set(JAVA_INT, 12, launch.threads());
    launchConfig.set(JAVA_INT, 16, 1);
    launchConfig.set(JAVA_INT, 20, 1);
    launchConfig.set(JAVA_INT, 24, launch.sharedBytes());
    int result;
    try {
      result =
          (int)
              launchKernel.invokeExact(
                  launchConfig,
                  ((FunctionHandle) kernel).value(),
                  launch.arguments(),
                  MemorySegment.NULL);
    } catch (Throwable e) {
      throw new IllegalStateException("cuLaunchKernelEx", e);
    }
    check(result, "launch");
  }

  @Override
  public void synchronize() {
    makeCurrent();
    long start = System.nanoTime();
    int result = JCudaDriver.cuStreamSynchronize(stream);
    waitedNanos += System.nanoTime() - start;
    check(result, "a kernel");
    passed = recordings;
  }

  @Override
  public Event event() {
    makeCurrent();
    CUevent event = new CUevent();
    check(JCudaDriver.cuEventCreate(event, 0), "cuEventCreate");
    events.add(event);
    return new Recorded(event);
  }

  @Override
  public void record(Event event) {
    makeCurrent();
    Recorded recorded = (Recorded) event;
    check(JCudaDriver.cuEventRecord(recorded.event, stream), "cuEventRecord");
    recorded.number = ++recordings;
  }

  /** What was recorded before something that was waited for has passed: no call is needed. */
  @Override
  public void await(Event event) {
    Recorded recorded = (Recorded) event;
    if (recorded.number <= passed) {
      return;
    }
    makeCurrent();
    long start = System.nanoTime();
    int result = JCudaDriver.cuEventSynchronize(recorded.event);
    waitedNanos += System.nanoTime() - start;
    check(result, "a kernel");
    passed = recorded.number;
  }

  @Override
  public Milestone milestone() {
    makeCurrent();
    NvidiaMilestone milestone = new NvidiaMilestone(this, stream);
    milestones.add(milestone);
    return milestone;
  }

  @Override
  public long waitedNanos() {
    return waitedNanos;
  }

  @Override
  public double secondsBetween(Event first, Event last) {
    await(last);
    float[] milliseconds = new float[1];
    check(
        JCudaDriver.cuEventElapsedTime(
            milliseconds, ((Recorded) first).event, ((Recorded) last).event),
        "cuEventElapsedTime");
    return milliseconds[0] / 1e3;
  }

  @Override
  public CopyQueue copyQueue() {
    makeCurrent();
    NvidiaCopyQueue queue = new NvidiaCopyQueue(this, stream);
    copyQueues.add(queue);
    return queue;
  }

  @Override
  public Graph capture(Runnable launches) {
    makeCurrent();
    CUgraph graph = new CUgraph();
    CUgraphExec executable = new CUgraphExec();
    check(
        JCudaDriver.cuStreamBeginCapture(
            stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture");
    try {
      launches.run();
    } catch (RuntimeException | Error e) {
      JCudaDriver.cuStreamEndCapture(stream, graph); // what it says follows from the exception
      throw e;
    }
    check(JCudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture");
    int result = JCudaDriver.cuGraphInstantiate(executable, graph, GRAPH_UPLOAD);
    check(JCudaDriver.cuGraphDestroy(graph), "cuGraphDestroy");
    check(result, "cuGraphInstantiate");
    return new Captured(executable);
  }

  @Override
  public void replay(Graph graph) {
    makeCurrent();
    check(JCudaDriver.cuGraphLaunch(((Captured) graph).graph, stream), "cuGraphLaunch");
  }

  @Override
  public void release(Graph graph) {
    synchronize();
    check(JCudaDriver.cuGraphExecDestroy(((Captured) graph).graph), "cuGraphExecDestroy");
  }

  @Override
  public DeviceExchange exchange(Rank rank, Meeting meeting) {
    makeCurrent();
    return NcclExchange.join(this::makeCurrent, stream.value(), rank, meeting);
  }

  @Override
  public void close() {
    makeCurrent();
    JCudaDriver.cuStreamSynchronize(stream); // an error was reported where it arose
    copyQueues.forEach(NvidiaCopyQueue::close);
    allocations.values().forEach(JCudaDriver::cuMemFree);
    pageLocked.freeAll();
    events.forEach(JCudaDriver::cuEventDestroy);
    milestones.forEach(NvidiaMilestone::close);
    release();
  }

  /** What the constructor has got, or some of it: handles that are not set yet are refused. */
  private void release() {
    JCudaDriver.cuModuleUnload(module);
    JCudaDriver.cuStreamDestroy(stream);
    JCudaDriver.cuDevicePrimaryCtxRelease(handle);
    CURRENT.remove();
    arena.close();
  }

  /** The loading thread hands over to the executor's; copies are queued by others still. */
  void makeCurrent() {
    if (CURRENT.get() != this) {
      check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
      CURRENT.set(this);
    }
  }

  static void check(int result, String what) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw new CudaException(
          what + " failed: " + CUresult.stringFor(result),
          USABLE_AFTER.contains(result) ? Aftermath.USABLE : Aftermath.LOST);
    }
  }
}
