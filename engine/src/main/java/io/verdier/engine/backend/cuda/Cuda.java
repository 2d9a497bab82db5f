package io.verdier.engine.backend.cuda;

import io.verdier.conf.Environment;
import io.verdier.engine.natives.NativeFiles;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
import java.util.Optional;
import jcuda.driver.JCudaDriver;

/** Finds out whether this process can use a GPU, and opens it. Stateless. */
public final class Cuda {
  private static final String DRIVER_LIBRARY = "libcuda.so.1";
  private static final String IMAGE = "kernels.fatbin";
  private static final String TEMPORARY = "java.io.tmpdir";

  private Cuda() {}

  /** Why there can be no GPU; empty if nothing speaks against one. Touches no driver. */
  public static Optional<String> obstacle() {
    if (Cuda.class.getResource(IMAGE) == null) {
      return Optional.of("this build has no GPU code: nvcc was not found when it was built");
    }
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup(DRIVER_LIBRARY, arena);
      return Optional.empty();
    } catch (IllegalArgumentException e) {
      return Optional.of("there is no NVIDIA driver (" + DRIVER_LIBRARY + " was not found)");
    }
  }

  /**
   * Opens a device.
   *
   * @param ordinal among the devices that the driver shows
   * @param directory where JCuda's native half is unpacked, for us alone
   * @throws CudaException if there is none, or it does not run this build's kernels
   */
  public static CudaBackend open(int ordinal, Path directory, CudaBackend.Options options) {
    obstacle()
        .ifPresent(
            reason -> {
              throw new CudaException("no GPU can be used: " + reason + ".");
            });
    try {
      loadJcuda(NativeFiles.privateDirectory(directory));
      return backend(new NvidiaDriver(ordinal, image()), options);
    } catch (IOException e) {
      throw new CudaException("no GPU can be used: " + e.getMessage(), e);
    } catch (UnsatisfiedLinkError e) {
      throw new CudaException("no GPU can be used: JCuda does not load: " + e.getMessage(), e);
    }
  }

  private static CudaBackend backend(NvidiaDriver driver, CudaBackend.Options options) {
    try {
      return new CudaBackend(driver, options, Ranges.of(Environment.ofProcess()));
    } catch (RuntimeException | Error e) {
      driver.close();
      throw e;
    }
  }

  private static byte[] image() throws IOException {
    try (InputStream in = Cuda.class.getResourceAsStream(IMAGE)) {
      if (in == null) {
        throw new IOException(IMAGE + " is not in the jar");
      }
      return in.readAllBytes();
    }
  }

  /**
   * JCuda unpacks its library into the temporary directory under a name that everybody can foresee,
   * and loads what it finds there: somebody else's file, if he was quicker. While its class is
   * initialised the temporary directory is one of ours.
   */
  private static synchronized void loadJcuda(Path directory) {
    String before = System.getProperty(TEMPORARY);
    System.setProperty(TEMPORARY, directory.toString());
    try {
      JCudaDriver.setExceptionsEnabled(false);
    } finally {
      System.setProperty(TEMPORARY, before);
    }
  }
}
