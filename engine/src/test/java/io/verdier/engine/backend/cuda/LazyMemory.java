package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Memory of the C library, all zero, aligned to a page: of large pieces the kernel gives a page
 * when it is first touched, where an arena would touch them all. Staging buffers and caches of
 * hundreds of megabytes, of which a test uses little, then cost nothing. Thread-safe.
 */
final class LazyMemory {
  private static final int PAGE_BYTES = 4096;
  private static final Linker LINKER = Linker.nativeLinker();
  private static final MethodHandle CALLOC =
      function("calloc", FunctionDescriptor.of(ADDRESS, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle FREE = function("free", FunctionDescriptor.ofVoid(ADDRESS));

  private LazyMemory() {}

  private static MethodHandle function(String name, FunctionDescriptor descriptor) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), descriptor);
  }

  /**
   * Memory until {@link #free}. The word in front of it is where it really begins.
   *
   * @throws OutOfMemoryError if there is not so much
   */
  static MemorySegment allocate(long bytes) {
    try {
      MemorySegment start = (MemorySegment) CALLOC.invokeExact(1L, bytes + 2L * PAGE_BYTES);
      if (start.address() == 0) {
        throw new OutOfMemoryError(bytes + " bytes of native memory");
      }
      long address = (start.address() + 2L * PAGE_BYTES - 1) & -PAGE_BYTES;
      MemorySegment.ofAddress(address - 8).reinterpret(8).set(JAVA_LONG, 0, start.address());
      return MemorySegment.ofAddress(address).reinterpret(bytes);
    } catch (RuntimeException | Error thrown) {
      throw thrown;
    } catch (Throwable impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** The same until the arena closes. */
  static MemorySegment allocate(long bytes, Arena arena) {
    return allocate(bytes).reinterpret(bytes, arena, LazyMemory::free);
  }

  static void free(MemorySegment memory) {
    long start = MemorySegment.ofAddress(memory.address() - 8).reinterpret(8).get(JAVA_LONG, 0);
    try {
      FREE.invokeExact(MemorySegment.ofAddress(start));
    } catch (RuntimeException | Error thrown) {
      throw thrown;
    } catch (Throwable impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
