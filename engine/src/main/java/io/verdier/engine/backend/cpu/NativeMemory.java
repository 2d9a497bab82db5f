package io.verdier.engine.backend.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Locale;
import java.util.Optional;

/**
 * Memory for weights and the KV cache. Thread-safe: stateless.
 *
 * <p>Large blocks come from {@code mmap}, not from {@link Arena#allocate(long, long)}: that one
 * touches every page to clear it, and counts against the JVM's direct-memory limit, which is a
 * fraction of the heap's. Mapped pages appear, cleared, when they are first written, so a generous
 * KV cache costs nothing at start; and the kernel may back them with huge pages (9 % more bandwidth
 * measured). Where there is no {@code mmap}, the arena serves.
 */
final class NativeMemory {
  private static final long SMALL_BYTES = 1L << 20;
  private static final long PAGE_BYTES = 64 << 10; // or smaller
  private static final int MADV_DONTNEED = 4; // Linux
  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_PRIVATE = 2;
  private static final boolean MAC = osName().contains("mac");
  private static final int MAP_ANONYMOUS = MAC ? 0x1000 : 0x20;

  private NativeMemory() {}

  /** Cleared memory, aligned to at least 64 bytes, that lives as long as the arena. */
  static MemorySegment allocate(long size, Arena arena) {
    if (size > SMALL_BYTES && (MAC || osName().contains("linux"))) {
      Optional<MemorySegment> mapped = map(size, arena);
      if (mapped.isPresent()) {
        return mapped.get();
      }
    }
    return arena.allocate(Math.max(size, 1), 64);
  }

  /** Maps and unmaps a block, so that the first real mapping finds its machinery awake. */
  static void warm() {
    try (Arena arena = Arena.ofConfined()) {
      allocate(SMALL_BYTES + 1, arena);
    }
  }

  /**
   * Gives memory of {@link #allocate} back, cleared, until it is written again; where that is not
   * possible, nothing happens.
   */
  static void vacate(MemorySegment segment) {
    long begin = (segment.address() + PAGE_BYTES - 1) & -PAGE_BYTES;
    long end = (segment.address() + segment.byteSize()) & -PAGE_BYTES;
    Linker linker = Linker.nativeLinker();
    Optional<MemorySegment> madvise = linker.defaultLookup().find("madvise");
    if (segment.byteSize() <= SMALL_BYTES || madvise.isEmpty() || !osName().contains("linux")) {
      return; // elsewhere the pages may keep what they hold
    }
    ValueLayout.OfLong word = ValueLayout.JAVA_LONG;
    ValueLayout.OfInt flags = ValueLayout.JAVA_INT;
    MethodHandle advise =
        linker.downcallHandle(madvise.get(), FunctionDescriptor.of(flags, word, word, flags));
    try {
      int ignored = (int) advise.invokeExact(begin, end - begin, MADV_DONTNEED);
    } catch (Throwable t) {
      throw new IllegalStateException("madvise failed", t);
    }
  }

  private static String osName() {
    return System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
  }

  private static Optional<MemorySegment> map(long size, Arena arena) {
    Linker linker = Linker.nativeLinker();
    Optional<MemorySegment> mmap = linker.defaultLookup().find("mmap");
    Optional<MemorySegment> munmap = linker.defaultLookup().find("munmap");
    if (mmap.isEmpty() || munmap.isEmpty()) {
      return Optional.empty();
    }
    ValueLayout.OfLong word = ValueLayout.JAVA_LONG;
    ValueLayout.OfInt flags = ValueLayout.JAVA_INT;
    long length = size + HugePages.BYTES; // room to begin at a huge page
    try {
      MethodHandle map =
          linker.downcallHandle(
              mmap.get(), FunctionDescriptor.of(word, word, word, flags, flags, flags, word));
      long address =
          (long) map.invokeExact(0L, length, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
      if (address == -1) {
        return Optional.empty();
      }
      MethodHandle unmap =
          linker.downcallHandle(munmap.get(), FunctionDescriptor.of(flags, word, word));
      long aligned = (address + HugePages.BYTES - 1) & -HugePages.BYTES;
      MemorySegment segment =
          MemorySegment.ofAddress(aligned)
              .reinterpret(size, arena, _ -> unmap(unmap, address, length));
      HugePages.advise(segment);
      return Optional.of(segment);
    } catch (Throwable t) {
      throw new IllegalStateException("mmap of " + length + " bytes failed", t);
    }
  }

  private static void unmap(MethodHandle munmap, long address, long length) {
    try {
      int result = (int) munmap.invokeExact(address, length);
      if (result != 0) {
        throw new IllegalStateException("munmap of " + length + " bytes gave " + result);
      }
    } catch (RuntimeException e) {
      throw e;
    } catch (Throwable t) {
      throw new IllegalStateException("munmap of " + length + " bytes failed", t);
    }
  }
}
