package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.DeviceMemory;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.Tensor;
import io.verdier.engine.backend.cuda.CudaBackend.Options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Supplier;
import org.junit.jupiter.api.Assumptions;

/**
 * The CUDA backend of tests: on the processor, or on a GPU with {@code -Dverdier.gpu=true}, which
 * {@code ./verdier test --gpu} sets.
 */
public final class TestCuda {
  private static final boolean GPU = Boolean.getBoolean("verdier.gpu");

  private TestCuda() {}

  /** Skips the test where there is neither. */
  public static CudaBackend backend(Options options) {
    return GPU
        ? Cuda.open(0, Path.of("target/cuda-native"), options)
        : new CudaBackend(emulation(), options);
  }

  /** On the processor, with so much memory that others have not taken. */
  public static CudaBackend emulated(long memoryBytes, Options options) {
    return new CudaBackend(emulation().of(memoryBytes), options);
  }

  /** Most bytes that an {@link #emulated} backend ever had allocated at the same time. */
  public static long takenMax(CudaBackend backend) {
    return ((EmulatedDriver) backend.driver()).takenMax();
  }

  /** What talking to other ranks' devices has taken of an {@link #emulated} one's, beside that. */
  public static long connectionBytes(CudaBackend backend) {
    return ((EmulatedDriver) backend.driver()).connectionBytes();
  }

  /** Marks in its copy queues that an {@link #emulated} device still keeps. */
  public static int marks(CudaBackend backend) {
    return ((EmulatedDriver) backend.driver()).marks().get();
  }

  /**
   * The memory of a device that nobody has: on its stages the CUDA backend's books are kept.
   *
   * @param freeBytes that others have not taken
   */
  public static DeviceMemory memory(String name, long bytes, long freeBytes, Options options) {
    CudaDriver.Device device = new CudaDriver.Device(name, 9, 0, 132, bytes, 227 << 10);
    return CudaRehearsal.memory(device, freeBytes, options);
  }

  /** A device without wgmma and bulk copies; skips the test where kernels are not emulated. */
  public static CudaBackend ampere(Options options) {
    Assumptions.assumeFalse(GPU, "a GPU is what it is");
    return new CudaBackend(emulation().as(8, 0), options);
  }

  /**
   * The same for one of several ranks, each of which has a device of its own.
   *
   * @throws CudaException if there are GPUs, but not so many
   */
  public static CudaBackend backend(Options options, Rank rank) {
    return GPU
        ? Cuda.open(rank.index(), Path.of("target/cuda-native"), options)
        : new CudaBackend(emulation(), options);
  }

  /** What several ranks load; skips the test where there are GPUs, but too few of them. */
  public static <T> T orSkip(Supplier<T> load) {
    try {
      return load.get();
    } catch (CudaException refused) {
      Assumptions.assumeFalse(GPU, String.valueOf(refused.getMessage()));
      throw refused;
    }
  }

  /** The same, but on the processor nothing runs before it is waited for. */
  public static CudaBackend lateBackend(Options options) {
    return GPU ? backend(options) : new CudaBackend(emulation().late(), options);
  }

  /**
   * On a processor's thread that works by itself, as a GPU does: what it fails with shows later.
   */
  public static CudaBackend besideBackend(Options options) {
    return new CudaBackend(emulation().beside(), options);
  }

  /** Has the device of a {@link #besideBackend} fail after so many launches more. */
  public static void failAfter(CudaBackend backend, int launches) {
    ((EmulatedDriver) backend.driver()).failAfter(launches);
  }

  public static boolean isClosed(CudaBackend backend) {
    return ((EmulatedDriver) backend.driver()).isClosed();
  }

  static EmulatedDriver emulation() {
    Optional<Path> library = EmulatedKernels.file();
    Assumptions.assumeTrue(library.isPresent(), "no g++: the CUDA kernels are not tested");
    return new EmulatedDriver(library.orElseThrow());
  }

  /** The selected rows of a tensor. */
  static float[][] read(CudaBackend backend, Tensor tensor) {
    CudaTensor source = (CudaTensor) tensor;
    CudaDriver driver = backend.driver();
    float[][] rows = new float[source.rows()][source.columns()];
    long rowBytes = (long) source.stride() * Float.BYTES;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(source.columns() * (long) Float.BYTES, 64);
      for (int i = 0; i < rows.length; i++) {
        driver.copyOut(buffer, source.address() + i * rowBytes, buffer.byteSize());
        driver.synchronize();
        MemorySegment.copy(buffer, ValueLayout.JAVA_FLOAT, 0, rows[i], 0, rows[i].length);
      }
    }
    return rows;
  }
}
