package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.HashSet;
import java.util.Set;

/**
 * Memory of the host that a device reads and writes by itself, through the foreign-function
 * interface: JCuda makes a {@code ByteBuffer} of each piece, which ends at 2 GiB, and the host's
 * side of a prefix cache is larger. Owned by the executor thread, with its device's context
 * current.
 */
final class PageLocked {
  private final MethodHandle allocate;
  private final MethodHandle free;
  private final Set<Long> pieces = new HashSet<>();

  /**
   * @param driver NVIDIA's library
   */
  PageLocked(SymbolLookup driver) {
    allocate = function(driver, "cuMemAllocHost_v2", ADDRESS, JAVA_LONG);
    free = function(driver, "cuMemFreeHost", JAVA_LONG);
  }

  private static MethodHandle function(
      SymbolLookup driver, String name, MemoryLayout... parameters) {
    return Linker.nativeLinker()
        .downcallHandle(
            driver.find(name).orElseThrow(), FunctionDescriptor.of(JAVA_INT, parameters));
  }

  /**
   * @throws CudaException if the host does not have so much, or may not lock it
   */
  MemorySegment allocate(long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(JAVA_LONG);
      int result = (int) allocate.invokeExact(address, bytes);
      NvidiaDriver.check(result, "locking " + (bytes >> 20) + " MiB of the host's memory");
      pieces.add(address.get(JAVA_LONG, 0));
      return MemorySegment.ofAddress(address.get(JAVA_LONG, 0)).reinterpret(bytes);
    } catch (Throwable thrown) {
      throw rethrown(thrown);
    }
  }

  /**
   * @throws IllegalStateException if no piece begins there
   */
  void free(MemorySegment piece) {
    if (!pieces.remove(piece.address())) {
      throw new IllegalStateException("no host buffer begins at " + piece.address());
    }
    NvidiaDriver.check(release(piece.address()), "cuMemFreeHost");
  }

  /** Errors were reported where they arose. */
  void freeAll() {
    pieces.forEach(this::release);
    pieces.clear();
  }

  private int release(long address) {
    try {
      return (int) free.invokeExact(address);
    } catch (Throwable thrown) {
      throw rethrown(thrown);
    }
  }

  private static RuntimeException rethrown(Throwable thrown) {
    return switch (thrown) {
      case RuntimeException known -> known;
      case Error error -> throw error;
      default -> new IllegalStateException("page-locked memory", thrown);
    };
  }
}
