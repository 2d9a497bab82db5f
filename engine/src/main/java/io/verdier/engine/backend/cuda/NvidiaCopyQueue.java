package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import jcuda.driver.CUevent;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * A stream for copies behind NVIDIA's driver. Owned by the executor thread.
 *
 * <p>A block's pieces are one call of {@code cuMemcpy3DAsync}: as the lines of one slice where the
 * driver's limit on pitches allows it (2 GiB less a byte), else as slices of one line. It is called
 * through the foreign-function interface because JCuda reads 23 fields of an object for it.
 */
final class NvidiaCopyQueue implements CopyQueue {
  private static final long PITCH_MAX = Integer.MAX_VALUE;
  private static final int HOST = 1; // CU_MEMORYTYPE_...
  private static final int DEVICE = 2;
  private static final int EVENT_DISABLE_TIMING = 2;
  private static final int STREAM_NON_BLOCKING = 1;

  /** Places in CUDA_MEMCPY3D: what has been left out stays 0. */
  private static final int TO = 88; // from the source's fields to the target's

  private static final int MEMORY_TYPE = 32;
  private static final int HOST_ADDRESS = 40;
  private static final int DEVICE_ADDRESS = 48;
  private static final int PITCH = 72;
  private static final int HEIGHT = 80;
  private static final int LINE_BYTES = 176;
  private static final int LINES = 184;
  private static final int SLICES = 192;
  private static final int BYTES = 200;

  private final NvidiaDriver driver;
  private final CUstream main;
  private final NvidiaDriver.StreamHandle stream = new NvidiaDriver.StreamHandle();
  private final CUevent mainNow = new CUevent();
  private final Arena arena = Arena.ofShared();
  private final MemorySegment copy = arena.allocate(BYTES, 8);
  private final MethodHandle function;
  private boolean closed;

  NvidiaCopyQueue(NvidiaDriver driver, CUstream main) {
    this.driver = driver;
    this.main = main;
    function = driver.function("cuMemcpy3DAsync_v2", ADDRESS, JAVA_LONG);
    NvidiaDriver.check(JCudaDriver.cuStreamCreate(stream, STREAM_NON_BLOCKING), "cuStreamCreate");
    NvidiaDriver.check(JCudaDriver.cuEventCreate(mainNow, EVENT_DISABLE_TIMING), "cuEventCreate");
  }

  @Override
  public void followMain() {
    driver.makeCurrent();
    NvidiaDriver.check(JCudaDriver.cuEventRecord(mainNow, main), "cuEventRecord");
    NvidiaDriver.check(JCudaDriver.cuStreamWaitEvent(stream, mainNow, 0), "cuStreamWaitEvent");
  }

  @Override
  public void holdMain(Mark mark) {
    driver.makeCurrent();
    CUevent event = ((Recorded) mark).event;
    NvidiaDriver.check(JCudaDriver.cuStreamWaitEvent(main, event, 0), "cuStreamWaitEvent");
  }

  @Override
  public void copyOut(MemorySegment to, long from, Pieces pieces) {
    device(0, from, pieces);
    host(TO, to, pieces);
    run(pieces);
  }

  @Override
  public void copyIn(long to, MemorySegment from, Pieces pieces) {
    host(0, from, pieces);
    device(TO, to, pieces);
    run(pieces);
  }

  @Override
  public void copyIn(long to, MemorySegment from, long bytes) {
    driver.copyIn(to, from, bytes, stream);
  }

  private static boolean areLines(Pieces pieces) {
    return pieces.stride() <= PITCH_MAX;
  }

  private void device(int side, long address, Pieces pieces) {
    boolean lines = areLines(pieces);
    copy.set(JAVA_INT, side + MEMORY_TYPE, DEVICE);
    copy.set(JAVA_LONG, side + HOST_ADDRESS, 0);
    copy.set(JAVA_LONG, side + DEVICE_ADDRESS, address);
    copy.set(JAVA_LONG, side + PITCH, lines ? pieces.stride() : pieces.bytes());
    copy.set(JAVA_LONG, side + HEIGHT, lines ? pieces.count() : pieces.stride() / pieces.bytes());
  }

  private void host(int side, MemorySegment segment, Pieces pieces) {
    copy.set(JAVA_INT, side + MEMORY_TYPE, HOST);
    copy.set(JAVA_LONG, side + HOST_ADDRESS, segment.address());
    copy.set(JAVA_LONG, side + DEVICE_ADDRESS, 0);
    copy.set(JAVA_LONG, side + PITCH, pieces.bytes());
    copy.set(JAVA_LONG, side + HEIGHT, areLines(pieces) ? pieces.count() : 1);
  }

  private void run(Pieces pieces) {
    driver.makeCurrent();
    copy.set(JAVA_LONG, LINE_BYTES, pieces.bytes());
    copy.set(JAVA_LONG, LINES, areLines(pieces) ? pieces.count() : 1);
    copy.set(JAVA_LONG, SLICES, areLines(pieces) ? 1 : pieces.count());
    int result;
    try {
      result = (int) function.invokeExact(copy, stream.value());
    } catch (Throwable e) {
      throw new IllegalStateException("cuMemcpy3DAsync", e);
    }
    NvidiaDriver.check(result, "cuMemcpy3DAsync");
  }

  @Override
  public Mark mark() {
    driver.makeCurrent();
    CUevent event = new CUevent();
    NvidiaDriver.check(JCudaDriver.cuEventCreate(event, EVENT_DISABLE_TIMING), "cuEventCreate");
    NvidiaDriver.check(JCudaDriver.cuEventRecord(event, stream), "cuEventRecord");
    return new Recorded(driver, event);
  }

  private record Recorded(NvidiaDriver driver, CUevent event) implements Mark {

    @Override
    public boolean isPast() {
      driver.makeCurrent();
      int result = JCudaDriver.cuEventQuery(event);
      if (result == CUresult.CUDA_ERROR_NOT_READY) {
        return false;
      }
      NvidiaDriver.check(result, "a copy");
      return true;
    }

    @Override
    public void await() {
      driver.makeCurrent();
      NvidiaDriver.check(JCudaDriver.cuEventSynchronize(event), "a copy");
    }

    @Override
    public void release() {
      driver.makeCurrent();
      NvidiaDriver.check(JCudaDriver.cuEventDestroy(event), "cuEventDestroy");
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      driver.makeCurrent();
      JCudaDriver.cuStreamSynchronize(stream); // an error was reported where it arose
      JCudaDriver.cuEventDestroy(mainNow);
      JCudaDriver.cuStreamDestroy(stream);
      arena.close();
    }
  }
}
